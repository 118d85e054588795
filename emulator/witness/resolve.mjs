// Microsoft's editor code is written for a bundler: its imports lack extensions, and
// the language service is loaded beforehand.
import { register } from 'node:module';

register('data:text/javascript,' + encodeURIComponent(`
export async function resolve(specifier, context, next) {
  if (specifier === 'language-service') {
    return { url: 'data:text/javascript,', shortCircuit: true };
  }
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!specifier.startsWith('.')) throw error;
    return next(specifier + '.js', context);
  }
}`));
