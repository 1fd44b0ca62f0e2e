package host

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	kindsShown = 5
	kindsEvery = time.Minute // listing what thousands of descriptors are takes milliseconds
	kindsMost  = 10_000      // descriptors that are looked at
)

// fdKinds says what the descriptors of this process are: by kind and, for TCP, by
// peer. It is asked only while they are short.
type fdKinds struct {
	dir   string
	tcp   [2]source // of both protocols
	next  time.Duration
	attrs []slog.Attr
}

func newFDKinds(root string) *fdKinds {
	return &fdKinds{dir: under(root, "/proc/self/fd"), tcp: [2]source{
		{path: under(root, "/proc/self/net/tcp")}, {path: under(root, "/proc/self/net/tcp6")},
	}}
}

// top is the largest groups, at most a minute old.
func (k *fdKinds) top(now time.Duration, names func() ([]string, error)) []slog.Attr {
	if k.attrs != nil && now < k.next {
		return k.attrs
	}
	k.next = now + kindsEvery
	fds, err := names()
	if err != nil {
		k.attrs = []slog.Attr{slog.String("kinds", "unknown: "+err.Error())}
		return k.attrs
	}
	peers := map[string]string{}
	for i := range k.tcp {
		if text, err := k.tcp[i].read(); err == nil { // where not, sockets are just sockets
			parsePeers(text, peers)
			k.tcp[i].buf = nil // it may be large, and is rarely needed
		}
	}
	count := map[string]int{}
	for _, fd := range fds[:min(len(fds), kindsMost)] {
		if link, err := os.Readlink(filepath.Join(k.dir, fd)); err == nil { // it may be closed by now
			count[kindOfLink(link, peers)]++
		}
	}
	kinds := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(a, b))
	})
	k.attrs = make([]slog.Attr, 0, kindsShown)
	for _, kind := range kinds[:min(len(kinds), kindsShown)] {
		k.attrs = append(k.attrs, slog.Int(kind, count[kind]))
	}
	return k.attrs
}

// kindOfLink groups what a descriptor links to.
func kindOfLink(link string, peers map[string]string) string {
	kind, rest, special := strings.Cut(link, ":[")
	switch {
	case special && kind == "socket":
		if peer, ok := peers[strings.TrimSuffix(rest, "]")]; ok {
			return "tcp " + peer
		}
		return "socket"
	case special && kind == "pipe":
		return "pipe"
	case strings.HasPrefix(link, "anon_inode:"):
		return oneLine(link)
	case strings.HasSuffix(link, " (deleted)"):
		return "deleted file"
	case strings.HasPrefix(link, "/"):
		return "file in " + oneLine(path.Dir(link))
	}
	return oneLine(kind)
}

// parsePeers reads /proc/net/tcp or tcp6: the peer of each socket by its inode, and
// "listening" for those that listen.
func parsePeers(text []byte, peers map[string]string) {
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) < 10 || !bytes.HasSuffix(f[0], []byte(":")) {
			continue
		}
		if string(f[3]) == "0A" {
			peers[string(f[9])] = "listening"
			continue
		}
		if peer, err := parsePeer(string(f[2])); err == nil && string(f[9]) != "0" {
			peers[string(f[9])] = peer
		}
	}
}

// parsePeer reads "0100007F:1F90": the address in words of the machine's own byte
// order, and the port.
func parsePeer(text string) (string, error) {
	address, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	if err != nil || !ok || len(raw) != 4 && len(raw) != 16 {
		return "", fmt.Errorf("host: %.40q is no address", text)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return "", fmt.Errorf("host: %.40q is no address: %w", text, err)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	ip, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)).String(), nil
}
