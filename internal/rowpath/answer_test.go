package rowpath_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// answer returns a compact answer of n rows, the same at each call.
func answer(n int, row func(*strings.Builder, *rand.Rand)) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString(`{"schema":[{"name":"Timestamp","type":"DateTime"}],"results":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		row(&b, r)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

// narrowRow is a row like those of DeviceTvmSoftwareVulnerabilities.
func narrowRow(b *strings.Builder, r *rand.Rand) {
	software := r.IntN(400)
	fmt.Fprintf(b, `{"DeviceId":"%016x%024x","DeviceName":"host-%04d.contoso.example","OSPlatform":"Windows11","OSVersion":"10.0.22631.%d",`+
		`"OSArchitecture":"x64","SoftwareVendor":"vendor%d","SoftwareName":"product_%d","SoftwareVersion":"%d.%d.%d.0","CveId":"CVE-20%02d-%d",`+
		`"VulnerabilitySeverityLevel":"%s","RecommendedSecurityUpdate":"","RecommendedSecurityUpdateId":"","CveTags":[],"CveMitigationStatus":""}`,
		r.Uint64(), r.Uint64(), r.IntN(3000), r.IntN(4000), software/10, software, r.IntN(20), r.IntN(10), r.IntN(900),
		r.IntN(10)+15, r.IntN(40000), []string{"Low", "Medium", "High", "Critical"}[r.IntN(4)])
}

// annotatedRow is a row like those of ExposureGraphNodes from Graph.
func annotatedRow(b *strings.Builder, r *rand.Rand) {
	fmt.Fprintf(b, `{"NodeId":"%032x","NodeLabel":"device","NodeName":"host-%04d","Categories@odata.type":"#Collection(String)","Categories":["device","compute"],`+
		`"NodeProperties":{"@odata.type":"#microsoft.graph.security.dynamicColumnValue","rawData":{"@odata.type":"#microsoft.graph.security.dynamicColumnValue",`+
		`"tags@odata.type":"#Collection(String)","tags":["a%d","b"],"exposureScore":%d,"isExpired":false,"lastSeen":"2026-03-01T00:00:00Z","deviceId":"%016x"}},`+
		`"EntityIds@odata.type":"#Collection(microsoft.graph.security.dynamicColumnValue)","EntityIds":[{"@odata.type":"#microsoft.graph.security.dynamicColumnValue","type":"DeviceInventoryId","id":"%016x"}]}`,
		r.Uint64(), r.IntN(3000), r.IntN(100), r.IntN(100), r.Uint64(), r.Uint64())
}
