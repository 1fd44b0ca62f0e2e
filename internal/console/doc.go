// Package console is the page and the JSON API of a supervisor, of which it knows
// nothing but the functions of a [Source]: the root package supplies them.
//
// It imports the standard library alone. The root package and cmd/selfheal, which
// reads its JSON, may import it.
//
// # Rooms
//
//   - The door (handler.go, guard.go): routes, which are found from the end of the
//     path, so that any prefix does; the Host allow-list; who may.
//   - What is shown (view.go): one view of everything, made when somebody needs it,
//     never more often than its cost allows, and shared by all. It is cut into pieces
//     that know since when they are as they are.
//   - The page (page.go, pages.go, query.go, words.go, chart.go, assets.go, page.html, page.css,
//     page.js): rendered here, readable without a script. The style and the script
//     are part of the page and named by their hashes in the policy.
//   - What changes (live.go): streams of pieces for the page, of lines for programs.
//     A stream is the goroutine of its request and nothing else: it asks, and is
//     never sent to, so a slow one holds up nobody.
//   - What is done (control.go, link.go): controls, signed links.
//   - What was captured (evidence.go): listed, and opened for those who may.
//   - What was (history.go, week.go, ring.go): the latest incidents and lines, in memory.
//   - The API (api.go), which docs/api.md describes and testdata fixes.
package console
