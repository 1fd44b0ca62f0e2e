package evidence

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A Bundle is what was captured at one moment, before one attempt of an incident.
type Bundle struct {
	// Incident, Watch and Key say whose it is.
	Incident, Watch, Key string
	// Attempt is the attempt that it was captured before, counted from 1.
	Attempt int
	// At is when it was captured. Zero: now.
	At    time.Time
	Files []File
	// Notes say what is missing or cut, and why.
	Notes []Note
	// Elsewhere is what gatherers of the application captured and keep themselves.
	Elsewhere []escalate.Evidence
}

// A File is one file of a [Bundle].
type File struct {
	// Name is made harmless where it is not: without folders, at most 64 letters,
	// digits, points, dashes and underscores, and unique within its bundle.
	Name string
	// Type is the media type. It decides how the file is redacted; see [Redactor].
	Type string
	Data []byte
}

// A Note says what is missing from a bundle, or cut.
type Note struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

// Info is what a [Store] knows of a bundle. It is manifest.json in its archive.
type Info struct {
	// Ref names the bundle for as long as it is kept. It cannot be guessed, holds
	// letters, digits and dashes only, and sorts by time.
	Ref      string    `json:"ref"`
	At       time.Time `json:"at"`
	Incident string    `json:"incident"`
	Watch    string    `json:"watch"`
	Key      string    `json:"key,omitempty"`
	Attempt  int       `json:"attempt,omitempty"`
	// Bytes is the size of the archive; not in the manifest, which is part of it.
	Bytes     int64       `json:"bytes,omitempty"`
	Files     []FileInfo  `json:"files"`
	Notes     []Note      `json:"notes,omitempty"`
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
}

// FileInfo is one file of a bundle. Ref+"/"+Name is what [Store.Open] takes.
type FileInfo struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Bytes int64  `json:"bytes"` // as it is read, not as it is stored
}

// Elsewhere is [escalate.Evidence] with the names that it has in JSON.
type Elsewhere struct {
	Name  string    `json:"name"`
	Type  string    `json:"type,omitempty"`
	Ref   string    `json:"ref"`
	Bytes int64     `json:"bytes,omitempty"`
	At    time.Time `json:"at,omitzero"`
}

const (
	manifest     = "manifest.json"
	mostManifest = 1 << 20 // bytes
	zipType      = "application/zip"
)

// archive writes a bundle as a zip file, in which go tool pprof, go tool trace and
// every desktop find what they know.
func archive(info Info, files []File) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	// An incident waits for this: speed before size.
	// One compressor serves all files, since each takes more than a MiB.
	deflate, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("evidence: compress: %w", err)
	}
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { deflate.Reset(w); return deflate, nil })
	text, err := json.MarshalIndent(info, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("evidence: write the manifest: %w", err)
	}
	if len(text) > mostManifest {
		return nil, fmt.Errorf("evidence: the manifest of a bundle has %d bytes, more than %d: give fewer files and shorter notes", len(text), mostManifest)
	}
	for _, f := range append([]File{{Name: manifest, Type: "application/json", Data: text}}, files...) {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: info.At.UTC()}
		if f.Type == ProfileType {
			h.Method = zip.Store // compressed already
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(f.Data)
		}
		if err != nil {
			return nil, fmt.Errorf("evidence: write %s into the bundle: %w", f.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("evidence: close the bundle: %w", err)
	}
	return out.Bytes(), nil
}

// readInfo reads the manifest of an archive and holds it to what is there.
func readInfo(r io.ReaderAt, size int64) (Info, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return Info{}, err
	}
	text, err := readEntry(z, manifest, mostManifest)
	if err != nil {
		return Info{}, err
	}
	var info Info
	if err := json.Unmarshal(text, &info); err != nil {
		return Info{}, err
	}
	sizes := map[string]uint64{}
	for _, f := range z.File {
		sizes[f.Name] = f.UncompressedSize64
	}
	for _, f := range info.Files {
		if n, ok := sizes[f.Name]; !ok || n != uint64(f.Bytes) {
			return Info{}, fmt.Errorf("evidence: %q is not in the bundle as its manifest says", f.Name)
		}
	}
	info.Bytes = size
	return info, nil
}

// readEntry reads one file of an archive, whose checksum it verifies, and at most
// limit bytes: an archive can say less than it unfolds to.
func readEntry(z *zip.Reader, name string, limit int64) ([]byte, error) {
	for _, f := range z.File {
		if f.Name != name {
			continue
		}
		if f.UncompressedSize64 > uint64(limit) {
			return nil, fmt.Errorf("evidence: %q has %d bytes, more than %d", name, f.UncompressedSize64, limit)
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r) // the archive's own reader stops at the size above
	}
	return nil, fmt.Errorf("evidence: %q is not in the bundle", name)
}

const longestName = 64

// safeNames gives each file a name that is harmless wherever the archive is
// unpacked, and unique on file systems that know no case.
func safeNames(files []File) {
	taken := map[string]bool{manifest: true}
	for i := range files {
		name := safeName(files[i].Name)
		for n, base := 2, name; taken[strings.ToLower(name)]; n++ {
			name = fmt.Sprintf("%d-%s", n, base)
		}
		taken[strings.ToLower(name)] = true
		files[i].Name = name
	}
}

func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, name[max(0, len(name)-longestName):])
	name = strings.Trim(name, ".")
	if name == "" {
		return "file"
	}
	// Windows has devices under these names, with any extension.
	switch stem, _, _ := strings.Cut(strings.ToUpper(name), "."); {
	case stem == "CON", stem == "PRN", stem == "AUX", stem == "NUL",
		len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")):
		name = "_" + name
	}
	return name
}
