// The compiler is used where there is one, and whatever it prints is a fault: tried with a stand-in on the PATH.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import test from 'node:test';
import { compile, judge, variants } from './compiler.mjs';

const root = resolve(import.meta.dirname, '../..');

function withCompiler(script, run) {
  const folder = mkdtempSync(join(tmpdir(), 'bicep-'));
  const path = process.env.PATH;
  try {
    if (script) {
      writeFileSync(join(folder, 'bicep'), `#!/bin/sh\n${script}\n`);
      chmodSync(join(folder, 'bicep'), 0o755);
    }
    process.env.PATH = script ? folder + delimiter + path : folder;
    return run();
  } finally {
    process.env.PATH = path;
    rmSync(folder, { recursive: true });
  }
}

// A snapshot with every type that any variant makes: the variants then complain of what they must not make.
const everything = JSON.stringify({ predictedResources: [...new Set(variants.flatMap((v) => v.makes))].map((t) => ({ type: `X/${t}` })) });

test('without a compiler nothing is found', () => assert.deepEqual(withCompiler('', () => compile(root)), []));

test('a warning with exit code 0 is a fault', () => {
  const faults = withCompiler('case "$1" in build) echo "main.bicep(1,1) : Warning BCP037: unknown" >&2;; snapshot) echo "{}" > "$(dirname "$2")/main.snapshot.json";; esac', () => compile(root));
  assert.ok(faults.includes('bicep build: main.bicep(1,1) : Warning BCP037: unknown'), faults.join('\n'));
});

test('a compiler that fails is a fault', () => {
  const faults = withCompiler('[ "$1" = --version ]', () => compile(root));
  assert.ok(faults.includes('bicep lint: exit code 1') && faults.includes('bicep snapshot (default): exit code 1'), faults.join('\n'));
});

test('each variant is expanded and judged', () => {
  const faults = withCompiler(`case "$1" in snapshot) cat > "$(dirname "$2")/main.snapshot.json" <<'E'\n${everything}\nE\n;; esac`, () => compile(root));
  assert.ok(faults.includes('variant managed identity: makes vaults') && faults.includes('variant eventhouse: makes clusters'), faults.join('\n'));
  assert.ok(faults.includes('variant certificate, kept by a pipeline: makes 0 roleAssignments, want 6'), faults.join('\n'));
  assert.ok(!faults.some((f) => f.includes('makes no')), faults.join('\n'));
});

test('a variant that lacks what it must make is a fault', () => {
  assert.deepEqual(judge({ name: 'x', makes: ['sites'], not: [] }, { predictedResources: [] }), ['variant x: makes no sites']);
  const two = { predictedResources: [{ type: 'A/x' }, { type: 'B/c/x' }] };
  assert.deepEqual(judge({ name: 'x', makes: ['x'], not: [], counts: { x: 2 } }, two), []);
  assert.deepEqual(judge({ name: 'x', makes: ['x'], not: [], counts: { x: 1 } }, two), ['variant x: makes 2 x, want 1']);
});
