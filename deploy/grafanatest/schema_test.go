package grafanatest

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../grafana/selfheal.json")
	require.NoError(t, err)
	return b
}

// strict knows every field of the dashboard, of its panels, queries and options.
func strict(b []byte) error {
	var d dashboard.Dashboard
	if err := d.UnmarshalJSONStrict(b); err != nil {
		return err
	}
	return d.Validate()
}

func TestMain(m *testing.M) {
	plugins.RegisterDefaultPlugins()
	os.Exit(m.Run())
}

func TestTheDashboardIsOfTheSchema(t *testing.T) {
	b := read(t)
	require.NoError(t, strict(b))

	// What the schema reads is all that was written.
	var d dashboard.Dashboard
	require.NoError(t, json.Unmarshal(b, &d))
	require.Equal(t, bytes.Count(b, []byte(`"gridPos"`)), len(d.Panels))
}

// The check finds mistakes: where they are planted, they are named.
func TestTheSchemaFindsMistakes(t *testing.T) {
	b := read(t)
	for old, new := range map[string]string{
		`"gridPos"`:              `"gridPosition"`,
		`"legendFormat"`:         `"legend"`,
		`"orientation": "auto",`: ``,
		`"refresh": "1m"`:        `"refresh": 60`,
		`"colorMode": "value"`:   `"colourMode": "value"`,
	} {
		require.Contains(t, string(b), old)
		require.Error(t, strict(bytes.ReplaceAll(b, []byte(old), []byte(new))), old)
	}
}
