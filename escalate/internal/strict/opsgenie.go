package strict

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Opsgenie takes alerts in the form of Opsgenie and Jira Service Management under
// base. As theirs, its 202 only says that a request is queued: a request is
// carried out when its status was asked for once, and all that are queued before
// it; the first answer is 404. What was carried out has the verbs create, note,
// message, priority, close and acknowledge.
func Opsgenie(tb testing.TB, base, key string) *Server {
	tb.Helper()
	g := &opsgenie{base: base, key: key, open: map[string]bool{}, done: map[string]string{}}
	g.Server = start(tb, g.serve)
	g.odd = http.StatusUnprocessableEntity
	return g.Server
}

type opsgenie struct {
	*Server
	base, key string
	seq       int
	queue     []opsgenieRequest
	open      map[string]bool
	done      map[string]string // what became of a request; "" when it went well
}

type opsgenieRequest struct {
	id, verb, alias string
	event           Event
}

type opsgenieBody struct {
	Message     string            `json:"message"`
	Alias       string            `json:"alias"`
	Description string            `json:"description"`
	Note        string            `json:"note"`
	Source      string            `json:"source"`
	User        string            `json:"user"`
	Entity      string            `json:"entity"`
	Tags        []string          `json:"tags"`
	Priority    string            `json:"priority"`
	Details     map[string]string `json:"details"`
	Responders  []struct{ Type, ID, Name, Username string }
}

func (g *opsgenie) serve(c *call) {
	if c.r.Header.Get("Authorization") != "GenieKey "+g.key {
		c.refuse(http.StatusUnauthorized, "", "Could not authenticate")
		return
	}
	path, ok := strings.CutPrefix(c.r.URL.EscapedPath(), g.base+"/v2/alerts")
	if !ok {
		c.refuse(http.StatusNotFound, "", "no such path")
		return
	}
	if id, ok := strings.CutPrefix(path, "/requests/"); ok && c.r.Method == http.MethodGet {
		g.status(c, id)
		return
	}
	var b opsgenieBody
	if err := json.Unmarshal(c.body, &b); err != nil || !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/json") {
		c.refuse(http.StatusBadRequest, "", "no JSON: %v", err)
		return
	}
	alias, verb := b.Alias, "create"
	if path != "" {
		parts := strings.Split(path, "/")
		if len(parts) != 3 || c.r.URL.Query().Get("identifierType") != "alias" {
			c.refuse(http.StatusNotFound, "", "no such path or no identifierType=alias: %s", path)
			return
		}
		verb = parts[2]
		alias, _ = url.PathUnescape(parts[1])
	}
	methods := map[string]string{"create": "POST", "notes": "POST", "close": "POST", "acknowledge": "POST", "message": "PUT", "priority": "PUT"}
	if methods[verb] != c.r.Method {
		c.refuse(http.StatusMethodNotAllowed, "", "%s %s", c.r.Method, verb)
		return
	}
	if wrong := b.mistakes(verb, alias); len(wrong) > 0 {
		c.refuse(http.StatusUnprocessableEntity, "", "%s", strings.Join(wrong, "; "))
		return
	}
	g.mu.Lock()
	g.seq++
	id := fmt.Sprintf("request-%d", g.seq)
	g.queue = append(g.queue, opsgenieRequest{id, verb, alias, Event{
		Key: alias, Verb: strings.TrimSuffix(verb, "s"), ID: b.Details["notification"], Body: c.body,
	}})
	g.mu.Unlock()
	c.answer(http.StatusAccepted, fmt.Sprintf(`{"result":"Request will be processed","took":0.1,"requestId":%q}`, id))
}

func (b opsgenieBody) mistakes(verb, alias string) (wrong []string) {
	limit := func(field, s string, most int) {
		if utf8.RuneCountInString(s) > most {
			wrong = append(wrong, field+" is too long")
		}
	}
	need := func(field, s string) {
		if strings.TrimSpace(s) == "" {
			wrong = append(wrong, field+" is missing")
		}
	}
	need("alias", alias)
	limit("alias", alias, 512)
	limit("message", b.Message, 130)
	limit("description", b.Description, 15_000)
	limit("note", b.Note, 25_000)
	limit("source", b.Source, 100)
	limit("user", b.User, 100)
	limit("entity", b.Entity, 512)
	details := 0
	for k, v := range b.Details {
		details += utf8.RuneCountInString(k) + utf8.RuneCountInString(v)
	}
	if details > 8000 {
		wrong = append(wrong, "details are too long")
	}
	if len(b.Tags) > 20 || slices.ContainsFunc(b.Tags, func(t string) bool { return utf8.RuneCountInString(t) > 50 }) {
		wrong = append(wrong, "too many tags, or one is too long")
	}
	if b.Priority != "" && !slices.Contains([]string{"P1", "P2", "P3", "P4", "P5"}, b.Priority) {
		wrong = append(wrong, "priority is "+b.Priority)
	}
	switch verb {
	case "create", "message":
		need("message", b.Message)
	case "notes":
		need("note", b.Note)
	case "priority":
		need("priority", b.Priority)
	}
	return wrong
}

// status carries out what is queued up to a request when it is first asked for.
func (g *opsgenie) status(c *call, id string) {
	g.mu.Lock()
	said, known := g.done[id]
	last := slices.IndexFunc(g.queue, func(r opsgenieRequest) bool { return r.id == id })
	due := slices.Clone(g.queue[:last+1])
	g.queue = slices.Delete(g.queue, 0, last+1)
	var taken []Event
	for _, r := range due {
		if r.verb != "create" && !g.open[r.alias] {
			g.done[r.id] = "Alert does not exist"
			continue
		}
		g.done[r.id] = ""
		g.open[r.alias] = r.verb != "close"
		r.event.same = r.event.ID
		taken = append(taken, r.event)
	}
	g.mu.Unlock()
	for _, e := range taken {
		g.take(e)
	}
	if !known {
		c.answer(http.StatusNotFound, `{"message":"Request not found. It might not be processed, yet."}`)
		return
	}
	body, _ := json.Marshal(map[string]any{
		"data":      map[string]any{"success": said == "", "isSuccess": said == "", "status": said, "action": "x"},
		"requestId": id,
	})
	c.answer(http.StatusOK, string(body))
}
