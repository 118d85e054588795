// Command az stands in for the Azure CLI in tests of scripts. Its world is the file that
// the environment names.
package main

import (
	"fmt"
	"os"

	"github.com/defender2adx/defender2adx/emulator/azcli"
)

func main() {
	if err := azcli.Run(os.Getenv("INFRA_AZ_WORLD"), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
}
