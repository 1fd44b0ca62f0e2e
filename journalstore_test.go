package selfheal_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
)

func TestAlertsAreKeptInTheJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := selfheal.OpenJournal(dir)
	require.NoError(t, err)
	am, grafana := j.Store("am"), j.Store("am2")
	ctx := t.Context()
	require.NoError(t, am.Put(ctx, detect.Entry{Key: "a", Value: []byte("1")}, detect.Entry{Key: "b", Value: []byte{0, 255}}))
	require.NoError(t, am.Put(ctx, detect.Entry{Key: "a", Value: []byte("2")}))
	require.NoError(t, am.Delete(ctx, "c"))
	require.NoError(t, grafana.Put(ctx, detect.Entry{Key: "a", Value: []byte("other")}))
	crashed := image(t, dir)
	require.NoError(t, j.Close())
	require.Error(t, am.Put(ctx, detect.Entry{Key: "z"}))

	j, err = selfheal.OpenJournal(crashed)
	require.NoError(t, err)
	defer j.Close()
	got, err := j.Store("am").Load(ctx)
	require.NoError(t, err)
	require.Equal(t, []detect.Entry{{Key: "a", Value: []byte("2")}, {Key: "b", Value: []byte{0, 255}}}, got)
	require.NoError(t, j.Store("am").Delete(ctx, "a", "b"))
	got, err = j.Store("am").Load(ctx)
	require.NoError(t, err)
	require.Empty(t, got)
	require.Nil(t, (*selfheal.Journal)(nil).Store("am"))
}
