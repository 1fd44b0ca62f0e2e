package host

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestFilesOfTheKernelAreRead(t *testing.T) {
	s, err := parsePressure([]byte("some avg10=1.00 avg60=0.50 avg300=0.10 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=45\n"))
	require.NoError(t, err)
	require.Equal(t, stall{123, 45}, s)
	s, err = parsePressure([]byte("some avg10=1.00 avg60=0.50 avg300=0.10 total=123\n"))
	require.NoError(t, err, "the CPU has no full line on older kernels")
	require.Equal(t, stall{some: 123}, s)
	_, err = parsePressure(nil)
	require.Error(t, err)

	used, most, err := parseFileTable([]byte("2075\t100\t2466186\n"))
	require.NoError(t, err)
	require.Equal(t, [2]uint64{1975, 2466186}, [2]uint64{used, most})
	_, _, err = parseFileTable([]byte("2075\t0\n"))
	require.Error(t, err)
}

// A kernel with control groups of another kind has none of ours, and says so in our
// words; no other trouble counts as that.
func TestWhatIsNoControlGroupIsMissing(t *testing.T) {
	root := t.TempDir()
	self := filepath.Join(root, "proc", "self")
	require.NoError(t, os.MkdirAll(self, 0o700))
	_, err := findGroups(root, "memory")
	require.True(t, missing(err))
	require.NoError(t, os.WriteFile(filepath.Join(self, "cgroup"), []byte("0::/a\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(self, "mountinfo"), []byte("1 2 3:4 / / rw - ext4 /dev/sda rw\n"), 0o600))
	_, err = findGroups(root, "memory")
	require.True(t, missing(err))
	require.EqualError(t, err, "host: this process is in no control group of that kind (memory is not mounted)")
	_, err = parseLimit([]byte("lots"))
	require.EqualError(t, err, `host: "lots" is no number`)
	require.False(t, missing(err))
}

func TestPeersAreRead(t *testing.T) {
	peers := map[string]string{}
	text, err := os.ReadFile(filepath.Join("testdata", "net-tcp"))
	require.NoError(t, err)
	parsePeers(text, peers)
	require.Equal(t, map[string]string{"1001": "listening", "1002": "127.0.0.1:5432", "1003": "10.1.2.3:443"}, peers)
	peer, err := parsePeer("0000000000000000FFFF00000100007F:1F90")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8080", peer, "a version 4 address in a version 6 one")
	for link, want := range map[string]string{
		"socket:[1002]": "tcp 127.0.0.1:5432", "socket:[9]": "socket", "pipe:[4]": "pipe", "anon_inode:[eventpoll]": "anon_inode:[eventpoll]",
		"/var/log/a.log": "file in /var/log", "/tmp/x (deleted)": "deleted file", "net:[1]": "net",
	} {
		require.Equal(t, want, kindOfLink(link, peers))
	}
}

// What is counted is what grew, whatever the readings are.
func TestTheWindow(t *testing.T) {
	w := window{length: 10 * time.Second}
	at := func(s float64, n uint64) float64 {
		d, _, over := w.add(time.Duration(s*float64(time.Second)), n, 0)
		return float64(d) / over.Seconds()
	}
	require.Zero(t, at(0, 1000), "what was before the first reading says nothing")
	require.InDelta(t, 1, at(1, 1010), 1e-9, "before it is full, the rest counts as quiet")
	for s := 2; s <= 30; s++ {
		at(float64(s), 1000+10*uint64(s))
	}
	require.InDelta(t, 10, at(31, 1310), 1e-9)
	var quiet float64
	for s := 32; s <= 42; s++ {
		quiet = at(float64(s), 1310)
	}
	require.Zero(t, quiet, "what is longer ago is forgotten")
	require.Zero(t, at(43, 5), "a counter that began anew")
	require.Zero(t, at(100, 9000), "a gap says nothing of when it grew")
	for i := range 10_000 { // readings at any distance
		at(100+float64(i)*0.013, 9000+uint64(i))
	}
	require.InDelta(t, 1/0.013, at(100+10_000*0.013, 19_000), 1)
}

func FuzzPressure(f *testing.F) {
	f.Add([]byte("some avg10=1.00 avg60=0.50 avg300=0.10 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=45\n"), uint64(7), uint64(3))
	f.Add([]byte("full total=1"), uint64(0), uint64(math.MaxUint32))
	f.Fuzz(func(t *testing.T, text []byte, some, full uint64) {
		if s, err := parsePressure(text); err != nil && s != (stall{}) {
			t.Fatal("an error and a reading")
		}
		want := stall{some >> 8, full >> 8}
		written := fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=%d\n", want.some, want.full)
		if got, err := parsePressure([]byte(written)); err != nil || got != want {
			t.Fatalf("%q is read as %v, %v", written, got, err)
		}
	})
}

// What the kernel writes into tables of numbers is read back.
func FuzzTables(f *testing.F) {
	f.Add(uint64(2075), uint64(100), uint64(2466186))
	f.Fuzz(func(t *testing.T, a, b, c uint64) {
		a, b, c = a>>8, b>>8, c>>8
		if used, most, err := parseFileTable(fmt.Appendf(nil, "%d\t%d\t%d\n", a, b, c)); err != nil || most != c || used != a-min(a, b) {
			t.Fatalf("%d of %d, %v", used, most, err)
		}
		limits := fmt.Appendf(nil, "Limit                     Soft Limit           Hard Limit           Units\nMax open files            %-20d %-20d files     \n", a, b)
		if soft, err := parseOpenFiles(limits); err != nil || soft != a {
			t.Fatalf("%d is read as %d, %v", a, soft, err)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	f.Add([]byte("2075\t0\t2466186\n"))
	f.Add([]byte(openLimits))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = parseOpenFiles(text)
		if used, _, err := parseFileTable(text); err == nil && used > math.MaxUint64-9 {
			t.Fatal("fewer than none are used")
		}
	})
}

func FuzzPeers(f *testing.F) {
	text, _ := os.ReadFile(filepath.Join("testdata", "net-tcp"))
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		peers := map[string]string{}
		parsePeers(text, peers)
		for inode, peer := range peers {
			if _, err := netip.ParseAddrPort(peer); err != nil && peer != "listening" {
				t.Fatalf("the peer of %q is %q", inode, peer)
			}
		}
	})
}

func FuzzLinks(f *testing.F) {
	for _, link := range []string{"socket:[1002]", "pipe:[4]", "anon_inode:[eventpoll]", "/var/log/a.log", "/tmp/x (deleted)", "net:[1]", ""} {
		f.Add(link)
	}
	f.Fuzz(func(t *testing.T, link string) {
		kind := kindOfLink(link, map[string]string{"1002": "127.0.0.1:5432"})
		if !utf8.ValidString(kind) || strings.ContainsAny(kind, "\n\x00") || len(kind) > 300 {
			t.Fatalf("%q is of the kind %q", link, kind)
		}
	})
}

func FuzzNTP(f *testing.F) {
	f.Add(make([]byte, 48), int64(0))
	f.Add(bytes.Repeat([]byte{0xff}, 64), int64(1<<40))
	f.Fuzz(func(t *testing.T, text []byte, near int64) {
		now := time.Unix(near%(1<<40), 0)
		origin := []byte("12345678")
		if len(text) >= 48 {
			copy(text[24:], origin)
			text[0] = 4<<3 | 4
		}
		received, answered, err := parseNTP(text, origin, now)
		if err == nil && (answered.Before(received) || received.Sub(now).Abs() > 70*365*24*time.Hour) {
			t.Fatalf("%v and %v near %v", received, answered, now)
		}
	})
}

func FuzzChain(f *testing.F) {
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: newAuthority(f, "ca").leaf(f, life{until: time.Hour}).Raw}))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseChain(text)
		if (err == nil) != (len(c) > 0) {
			t.Fatal("neither a chain nor an error")
		}
		if err == nil {
			endingOf(c, "", time.Now())
		}
	})
}

func FuzzRecord(f *testing.F) {
	text, _ := json.Marshal(record{Seen: []int64{1}, Near: true})
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Fuzz(func(t *testing.T, text []byte) {
		if r := parseRecord(text); len(r.Seen) > killsKept {
			t.Fatal("more than was kept")
		}
	})
}

func entry(name string) []byte {
	b := make([]byte, (19+len(name)+1+7)/8*8)
	binary.NativeEndian.PutUint16(b[16:], uint16(len(b)))
	copy(b[19:], name)
	return b
}
