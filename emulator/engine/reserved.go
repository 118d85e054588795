package engine

import "strings"

// Words of the language that are no names unless they are bracketed: where ['kind'] is
// meant, Microsoft's parser (@kusto/language-service-next 12.4.1) refuses kind. The
// lists are its verdicts on every keyword that it knows; a test asks it again.

// reservedWords are no bare name anywhere.
var reservedWords = wordSet("__crossCluster __crossDB __id __isFuzzy __noWithSource __packedColumn __sourceColumnIndex and anomalychart areachart asc " +
	"bagexpansion barchart between cachingpolicy callout cancel card columnchart containscs contains_cs " +
	"__contextual_datatable cycles dataexport datascope decodeblocks desc encodingpolicy endswith endswith_cs " +
	"__executeAndCache expandoutput extent_tags_retention external_data first flags harddelete hardretention has_any has_all " +
	"has_cs hasprefix hasprefix_cs hassuffix hassuffix_cs hotcache isfuzzy force_remote journal ladderchart last like likecs " +
	"linechart missing nooptimization notcontains notcontainscs notlike notlikecs or others pathformat piechart pivotchart " +
	"project __projectAway queries query_results relaxed restricted_view_access row_level_security rowstore " +
	"rowstore_references rowstore_sealinfo rowstorepolicy rowstores scatterchart seal seals shards simple softdelete " +
	"softretention stackedareachart startswith startswith_cs statistics storedqueryresultcontainers tablepurge timechart " +
	"timeline timepivot treemap union unrestrictedviewers views with_itemindex with_match_id with_step_name writeaheadlog " +
	"boolean int8 char uint8 byte int16 uint16 int int32 uint uint32 long int64 ulong uint64 float real decimal double string " +
	"time timespan date datetime uniqueid dynamic ")

// columnWords may be given to a column, as in extend title = 1, but not read: that takes
// ['title'].
var columnWords = wordSet("accumulate as by contains datatable earliest externaldata find has in invoke latest materialize mdm of print sample " +
	"search set sql title to toscalar totable verbose viewers where ")

// readWords may be read, as in where kind == 1, but not given.
var readWords = wordSet("kind with_source withsource")

func wordSet(text string) map[string]bool {
	words := make(map[string]bool)
	for _, w := range strings.Fields(text) {
		words[w] = true
	}
	return words
}

// Reserved reports whether a word cannot be the bare name of a variable, a function, a
// table or a column of a table.
func Reserved(word string) bool {
	return reservedWords[word] || columnWords[word] || readWords[word]
}

// bare reports whether the name in hand is written without brackets and the words hold it.
func (p *parser) bare(words ...map[string]bool) bool {
	for _, w := range words {
		if p.tok.Kind == TokenName && w[p.tok.Text] {
			return true
		}
	}
	return false
}

// newName reads the name of a variable, a function or a parameter.
func (p *parser) newName() (string, error) {
	if p.bare(reservedWords, columnWords, readWords) {
		return "", p.unexpected()
	}
	return p.name()
}

// columnName reads a name that is given to a column.
func (p *parser) columnName() (string, error) {
	if p.bare(reservedWords, readWords) {
		return "", p.unexpected()
	}
	return p.name()
}

// nameRead reads the name of what exists.
func (p *parser) nameRead() (string, error) {
	if p.bare(reservedWords, columnWords) {
		return "", p.unexpected()
	}
	return p.name()
}
