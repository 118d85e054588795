package rowpath_test

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// The rows of an answer come out one a line, as they were written: a number keeps
// its digits, and only what OData adds is left away. An answer that ends early is an
// error, whatever was written of it.
func ExampleCopy() {
	const answer = `{
		"schema": [{"name": "DeviceId", "type": "String"}, {"name": "Ratio", "type": "Double"}],
		"results": [
			{"DeviceId": "d1", "Ratio@odata.type": "#Double", "Ratio": 1.50},
			{"DeviceId": "d2", "Ratio": 1e3}
		]
	}`
	got, err := rowpath.Copy(os.Stdout, strings.NewReader(answer), rowpath.Options{Plain: true, MaxRows: 2})
	fmt.Println("rows", got.Rows, "bytes", got.Bytes, "capped", got.Capped, err)

	_, err = rowpath.Copy(io.Discard, strings.NewReader(answer[:len(answer)-10]), rowpath.Options{})
	fmt.Println("cut off:", err)
	// Output:
	// {"DeviceId":"d1","Ratio":1.50}
	// {"DeviceId":"d2","Ratio":1e3}
	// rows 2 bytes 61 capped true <nil>
	// cut off: answer ends after 209 bytes: unexpected EOF
}
