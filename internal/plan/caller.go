package plan

import "context"

// Caller makes calls that count against a tenant's allowance. Whoever reads the
// source is handed one and puts every HTTP try through it: a second try after a
// refused token and each page of a chain is a call of its own.
type Caller interface {
	// Do waits for its turn, takes a call and runs try. It runs try again, each time
	// with a call of its own, where the error's kind says that this may help, so try
	// must begin anew each time. It returns try's last error; an error of kind Wait
	// also when no call is free within seconds, and then try was not run.
	Do(ctx context.Context, try func(context.Context) error) error
}
