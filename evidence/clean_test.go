package evidence

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/redact"
	"github.com/selfheal-go/selfheal/remediate"
)

// secret is a value that one person gave, and shaped are some that nobody named.
const secret = "canary-4f9a-known"

var shaped = []string{
	"password=canary-by-name", "https://app:canary-in-url@db/x", "Authorization: Bearer canary.bearer.0123456789", `{"api_key":"canary-in-json"}`,
	"Cookie: canary-cookie=1", "xoxb-1234567890-canary",
}

// all that a gatherer takes in, with a canary in each.
func planted() string { return secret + " " + strings.Join(shaped, " ; ") }

// Whatever comes in, no canary is in any byte that is stored: neither in the files,
// nor in what is said about them, nor in the tables of profiles and traces.
func TestNoSecretIsStored(t *testing.T) {
	root := t.TempDir()
	file := func(name, text string) {
		name = filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)))
	}
	file("proc/pressure/memory", planted())
	file("proc/self/cgroup", "0::/"+secret+" password=canary-in-group\n") // a path, which no address survives in
	file("proc/self/mountinfo", mountsV2)

	ring := NewLogRing(nil, LogRingOptions{})
	log := slog.New(ring).With("with", planted()).WithGroup(planted())
	log.Info(planted(), planted(), 1, "text", planted(), "error", errors.New(planted()), "any", map[string]any{"password": "canary-any", planted(): []string{planted()}},
		"token", "canary-token", slog.Group(planted(), slog.String("secret", "canary-group")), "pin", slog.AnyValue(json.RawMessage(`{"passwd":["canary-list"]}`)))

	end := crowd(3, "tenant", planted(), "password", "canary-label", "key "+planted(), "x")
	defer end()
	r := NewRecorder(RecorderOptions{})
	require.NoError(t, r.Start())
	defer r.Stop()
	ctx, task := trace.NewTask(context.Background(), secret)
	trace.Log(ctx, planted(), planted())
	trace.WithRegion(ctx, secret, func() {})
	task.End()

	in := patient()
	in.ID, in.Watch, in.Service, in.Detail, in.Runbook = planted(), planted(), planted(), planted(), planted()
	in.Finding = detect.Finding{Key: planted(), Summary: planted(), Labels: map[string]string{planted(): planted(), "password": "canary-finding"}, Evidence: []slog.Attr{slog.String("token", "canary-attr"), slog.String("x", planted())}}
	in.Attempts = []remediate.Attempt{{Step: planted(), Err: errors.New(planted())}}
	own := func(name, mediaType string) Part {
		return Part{Name: name, Type: mediaType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
			_, err := io.WriteString(w, planted()+"\n")
			return err
		}}
	}
	dir := filepath.Join(t.TempDir(), "evidence")
	s := newStore(t, StoreOptions{Dir: dir, Redactor: NewRedactor(secret)})
	g := Default(Options{
		Store: s, Root: root, Logs: ring, Flight: r, Time: time.Minute,
		Parts: []Part{
			own("own.txt", TextType), own("own.jsonl", LinesType), own("own.html", "text/html"), own("untyped", ""), own("octets", "application/octet-stream"), own("odd", planted()),
			own("broken.json", JSONType), own(secret, TextType),
			{Name: "bad.txt", Type: TextType, Write: func(context.Context, escalate.Incident, io.Writer) error { return errors.New(planted()) }},
			{Name: "panic.txt", Type: TextType, Write: func(context.Context, escalate.Incident, io.Writer) error { panic(planted()) }},
		},
		Gatherers: []escalate.Gatherer{escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
			return []escalate.Evidence{{Name: planted(), Type: planted(), Ref: planted()}}, errors.New(planted())
		})},
	})
	found, err := g.Gather(t.Context(), in)
	require.Error(t, err)
	files := unpacked(t, s, found[0].Ref)
	for _, name := range []string{manifest, "incident.json", "logs.jsonl", "system.txt", "goroutines.txt", "goroutine.pb.gz", "heap.pb.gz", "trace.out", "own.txt", "own.jsonl", "own.html", "untyped", "octets", "odd", "broken.json"} {
		require.NotEmpty(t, files[name], name)
	}
	for name, data := range files {
		require.NotContains(t, name, "canary")
		if strings.HasSuffix(name, ".gz") {
			data, err = gunzip(data)
			require.NoError(t, err)
		}
		if i := bytes.Index(data, []byte("canary")); i >= 0 {
			t.Errorf("%s: …%q…", name, data[max(0, i-80):min(len(data), i+60)])
		}
	}
	for _, line := range bytes.Split(bytes.TrimSpace(files["logs.jsonl"]), []byte("\n")) {
		require.True(t, json.Valid(line), "%s", line)
	}
	require.True(t, json.Valid(files["incident.json"]))
	raw, err := os.ReadFile(filepath.Join(dir, found[0].Ref+bundleExt))
	require.NoError(t, err)
	require.NotContains(t, string(raw), "canary")
	if !strings.Contains(goTool(t, files["trace.out"], "trace", "-d=parsed"), "***") {
		t.Error("the trace has lost its messages")
	}
	require.Contains(t, goTool(t, files["goroutine.pb.gz"], "pprof", "-raw"), "***")
}

// Lines keep the order of their names, since people read them from the left.
func TestLinesKeepTheirOrder(t *testing.T) {
	c := newCleaner(nil)
	require.Equal(t, `{"time":"x","msg":"***","a":1}`+"\n"+`{"time":"y","password":"***"}`,
		string(c.lines([]byte(`{"time":"x","msg":"***","a":1}`+"\n"+`{"time":"y","password":"pw"}`))))
	require.JSONEq(t, `{"a":{"password":"***"}}`, string(c.json([]byte(`{"a":{"password":["x"]}}`))))
}

type loud struct{}

func (loud) String(s string) string { return strings.ToUpper(s) }

type panics struct{}

func (panics) String(string) string { panic("boom") }

func TestTheApplicationsRedactorIsAskedToo(t *testing.T) {
	f, err := newCleaner(loud{}).file(File{Name: "a.txt", Type: TextType, Data: []byte("x password=y")})
	require.NoError(t, err)
	require.Equal(t, "X PASSWORD=***", string(f.Data))
	s := newStore(t, StoreOptions{Redactor: panics{}})
	i := put(t, s, Bundle{Watch: "w", Files: []File{{Name: "a.txt", Type: TextType, Data: []byte("x")}}})
	require.Equal(t, redact.Mask, i.Watch)
	require.Equal(t, redact.Mask, string(read(t, s, i.Ref+"/"+i.Files[0].Name)), "what nobody could redact is not kept")
}

func TestPutRedacts(t *testing.T) {
	s := newStore(t, StoreOptions{})
	i := put(t, s, Bundle{Files: []File{
		{Name: "a.txt", Type: TextType, Data: []byte("password=canary")}, {Name: "b", Type: ProfileType, Data: []byte("no profile")}, {Name: "c", Type: TraceType, Data: []byte("no trace")},
	}})
	require.Equal(t, "password=***", string(read(t, s, i.Ref+"/a.txt")))
	require.Len(t, i.Files, 1)
	require.Contains(t, notes(i), "b: left out: it is no profile")
	require.Contains(t, notes(i), "c: left out: it is no execution trace")
}

func TestADamagedProfileIsLeftOut(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&b, 0))
	c := newCleaner(nil)
	clean, err := c.profile(b.Bytes())
	require.NoError(t, err)
	once, err := gunzip(b.Bytes())
	require.NoError(t, err)
	again, err := gunzip(clean)
	require.NoError(t, err)
	require.Equal(t, once, again, "without a secret nothing changes")
	_, err = c.profile(b.Bytes()[:b.Len()-20])
	require.ErrorIs(t, err, errNoProfile)
	_, err = c.profile(zipped(t, once[:len(once)-1]))
	require.ErrorIs(t, err, errNoProfile)
}

func zipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

func FuzzProfile(f *testing.F) {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 0); err != nil {
		f.Fatal(err)
	}
	raw, err := gunzip(b.Bytes())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0x12, 6, 0x1a, 4, 8, 1, 16, 2, 0x32, 0, 0x32, 5, 't', 'o', 'k', 'e', 'n', 0x32, 6, 'c', 'a', 'n', 'a', 'r', 'y'})
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	c := newCleaner(NewRedactor(secret))
	f.Fuzz(func(t *testing.T, raw []byte) {
		clean, err := c.profile(zipped(t, raw))
		if err != nil {
			return
		}
		out, err := gunzip(clean)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := c.profile(clean)
		if err != nil {
			t.Fatal("what was redacted is no profile any longer:", err)
		}
		if again, err := gunzip(twice); err != nil || !bytes.Equal(again, out) {
			t.Fatal("redacting twice changes it again", err)
		}
	})
}

// recorded is a small execution trace.
func recorded(t testing.TB) []byte {
	r := NewRecorder(RecorderOptions{})
	require.NoError(t, r.Start())
	defer r.Stop()
	trace.Log(context.Background(), "order", "number 4711 password=canary")
	var b bytes.Buffer
	_, err := r.WriteTo(&b)
	require.NoError(t, err)
	return b.Bytes()
}

func TestADamagedTraceIsLeftOut(t *testing.T) {
	c := newCleaner(nil)
	data := recorded(t)
	clean, err := c.trace(data)
	require.NoError(t, err)
	require.NotContains(t, string(clean), "canary")
	require.Contains(t, string(clean), "number 4711 password=***")
	again, err := c.trace(clean)
	require.NoError(t, err)
	require.Equal(t, clean, again)
	short, err := c.trace([]byte("go 1.26 trace\x00\x00\x00\x01\x01\x01\x01\x0e\x04\x05\x01\x0apassword=p\x34"))
	require.NoError(t, err)
	require.Contains(t, string(short), "\x0e\x04\x05\x01\x0apassword=*\x34", "no string grows: readers have bounds")
	for _, bad := range [][]byte{nil, data[:10], data[:traceHeader], data[:len(data)/2], append(bytes.Clone(data), 7), bytes.Replace(data, []byte("go 1."), []byte("go 2."), 1)} {
		_, err := c.trace(bad)
		require.ErrorIs(t, err, errNoTrace)
	}
}

func FuzzTrace(f *testing.F) {
	header := "go 1.26 trace\x00\x00\x00"
	f.Add([]byte(header + "\x01\x01\x01\x01\x09\x04\x05\x01\x05hello\x34"))
	f.Add([]byte(header + "\x31\x01\x01\x01\x01\x02ab\x01\x01\x01\x01\x0f\x04\x05\x01\x0cpassword=pwx"))
	f.Add([]byte(header + "\x01\x01\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	c := newCleaner(NewRedactor(secret))
	f.Fuzz(func(t *testing.T, data []byte) {
		clean, err := c.trace(data)
		if err != nil {
			return
		}
		if len(clean) > len(data) {
			t.Fatal("it grew")
		}
		if _, err := c.trace(clean); err != nil {
			t.Fatal("what was redacted is no trace any longer:", err)
		}
	})
}

func FuzzStacks(f *testing.F) {
	raw, err := lookAtGoroutines()
	if err != nil {
		f.Fatal(err)
	}
	if raw, err = gunzip(raw); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("\x12\x0d\x0a\x01\x01\x12\x02\x80\x01\x1a\x04\x08\x01\x10\x032\x002\x01a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var out bytes.Buffer
		if writeStacks(&out, zipped(t, raw)) == nil && out.Len() > mostText {
			t.Fatal(out.Len())
		}
	})
}

func FuzzBundle(f *testing.F) {
	files := []File{{Name: "a.txt", Type: TextType, Data: []byte("hello")}}
	good, err := archive(Info{Ref: newRef(time.Now()), Files: []FileInfo{{Name: "a.txt", Type: TextType, Bytes: 5}}}, files)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		info, err := readInfo(r, int64(len(data)))
		if err != nil {
			return
		}
		for _, file := range info.Files {
			c, err := openPart(r, int64(len(data)), file.Name, 1<<20)
			if err == nil && c.Bytes != file.Bytes {
				t.Fatal(c.Bytes, file.Bytes)
			}
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("../../etc/passwd", "CON", "20260301T120000500Z-abcdefghijklmnopqrstuvwxyz")
	f.Fuzz(func(t *testing.T, a, b, ref string) {
		files := []File{{Name: a}, {Name: b}, {Name: a}}
		safeNames(files)
		seen := map[string]bool{manifest: true}
		for _, file := range files {
			if strings.ContainsAny(file.Name, "/\\:\x00") || !filepath.IsLocal(file.Name) || seen[strings.ToLower(file.Name)] {
				t.Fatalf("%q", files)
			}
			seen[strings.ToLower(file.Name)] = true
		}
		if _, ok := refAt(ref); ok && (!filepath.IsLocal(ref) || strings.ContainsAny(ref, "/\\.:")) {
			t.Fatalf("%q", ref)
		}
	})
}
