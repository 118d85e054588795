// Command az stands in for the Azure CLI in tests of scripts. Its world is the file that
// the environment names; of a second login the file world.json in its folder.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/defender2adx/defender2adx/emulator/azcli"
)

func main() {
	file := os.Getenv("INFRA_AZ_WORLD")
	if folder := os.Getenv("AZURE_CONFIG_DIR"); folder != "" {
		file = filepath.Join(folder, "world.json")
	}
	if err := azcli.Run(file, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
}
