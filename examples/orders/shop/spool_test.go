package shop

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func testSpool(t *testing.T, receipts int) (*Spool, Config) {
	c := Production()
	c.SpoolDir, c.SpoolLimit, c.SpoolKeep = t.TempDir(), 100, 3
	s := NewSpool(c)
	for range receipts {
		require.NoError(t, s.Write(Order{Lines: 170})) // 10 KiB
	}
	return s, c
}

func TestAFullSpoolIsHealedByDeletingOldReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := testSpool(t, 12)
		trial := selfhealtest.Start(t, s.Healing())
		time.Sleep(10 * time.Minute)
		trial.Want(`
			1m0s open orders/spool: 121 KiB is above 100
			2m0s step delete-old: healed
			5m0s close`)
		numbers, _, err := s.Receipts()
		require.NoError(t, err)
		require.Equal(t, []int{10, 11, 12}, numbers)
	})
}

func TestWhatIsNotOursStays(t *testing.T) {
	s, c := testSpool(t, 5)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	require.NoError(t, os.WriteFile(elsewhere, []byte("dear to somebody"), 0o600))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(c.SpoolDir, "receipt-00000000.txt")))
	require.NoError(t, os.Mkdir(filepath.Join(c.SpoolDir, "receipt-99999999.txt"), 0o700))
	for _, name := range []string{"README", "receipt-1.txt", "receipt-00000001.txt.bak", "receipt-+0000001.txt", "receipt--0000001.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(c.SpoolDir, name), []byte(name), 0o600))
	}
	require.NoError(t, s.DeleteOld(t.Context(), remediate.Request{}))

	entries, err := os.ReadDir(c.SpoolDir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.ElementsMatch(t, []string{
		"receipt-00000003.txt", "receipt-00000004.txt", "receipt-00000005.txt", // the newest
		"receipt-00000000.txt", "receipt-99999999.txt", "README", "receipt-1.txt",
		"receipt-00000001.txt.bak", "receipt-+0000001.txt", "receipt--0000001.txt",
	}, names)
	require.FileExists(t, elsewhere)
}
