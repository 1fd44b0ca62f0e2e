package detect_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func TestSeverityText(t *testing.T) {
	for s, want := range map[detect.Severity]string{detect.Warning: "warning", detect.Critical: "critical"} {
		assert.Equal(t, want, s.String())
		text, err := json.Marshal(s)
		require.NoError(t, err)
		var back detect.Severity = 99
		require.NoError(t, json.Unmarshal(text, &back))
		assert.Equal(t, s, back)
	}
	assert.Equal(t, "severity(7)", detect.Severity(7).String())
	var s detect.Severity
	assert.ErrorContains(t, s.UnmarshalText([]byte("fatal")), "use warning or critical")
	assert.Less(t, detect.Warning, detect.Critical, "severities compare")
}
