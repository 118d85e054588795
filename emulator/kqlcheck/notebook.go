package kqlcheck

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// threeQuotes are the texts in which the notebooks have their queries, and nothing else.
var threeQuotes = regexp.MustCompile(`(?s)"""(.*?)"""`)

// Notebook checks the queries of a notebook: texts in three quotes in its code cells.
// One without any is an error: its queries would stand where nobody looks.
func Notebook(c *Checker, r *Report, name string, text []byte) error {
	var book struct {
		Cells []struct {
			Type   string `json:"cell_type"`
			Source []string
		}
	}
	if err := json.Unmarshal(text, &book); err != nil {
		return fmt.Errorf("read notebook %s: %w", name, err)
	}
	queries := 0
	for n, cell := range book.Cells {
		if cell.Type != "code" {
			continue
		}
		for _, m := range threeQuotes.FindAllStringSubmatch(strings.Join(cell.Source, ""), -1) {
			found, err := c.Query(strings.TrimSpace(m[1]))
			if err != nil {
				return err
			}
			r.add(fmt.Sprintf("%s, cell %d", name, n+1), found)
			queries++
		}
	}
	if queries == 0 {
		return fmt.Errorf("read notebook %s: no code cell has a query in three quotes", name)
	}
	return nil
}

func notebooks(c *Checker, r *Report, root string) error {
	books, err := filepath.Glob(filepath.Join(root, "docs", "*.ipynb"))
	if err != nil {
		return err
	}
	for _, book := range books {
		text, err := os.ReadFile(book)
		if err != nil {
			return err
		}
		if err := Notebook(c, r, filepath.Base(book), text); err != nil {
			return err
		}
	}
	return nil
}
