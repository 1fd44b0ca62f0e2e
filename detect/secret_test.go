package detect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func TestASecretIsNeverPrinted(t *testing.T) {
	config := struct {
		Token detect.Secret
		More  []detect.Secret
	}{"canary-1", []detect.Secret{"canary-2"}}
	var said bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&said, verb+"\n", config)
		fmt.Fprintf(&said, verb+"\n", config.Token)
	}
	b, err := json.Marshal(config)
	require.NoError(t, err)
	said.Write(b)
	log := slog.New(slog.NewJSONHandler(&said, nil))
	log.Info("configured", "token", config.Token, "config", config)
	slog.New(slog.NewTextHandler(&said, nil)).Info("configured", "token", config.Token, "config", config)
	require.NotContains(t, said.String(), "canary")
	require.NotContains(t, said.String(), fmt.Sprintf("%x", "canary"))
	require.Contains(t, said.String(), `"Token":"***"`)
}

func TestASecretIsReadFromAConfiguration(t *testing.T) {
	var c struct{ Token detect.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"Token":"abc"}`), &c))
	require.Equal(t, "abc", string(c.Token))
	require.ErrorContains(t, json.Unmarshal([]byte(`{"Token":"***"}`), &c), "give its value")
	require.Empty(t, detect.Secret("").String())
}
