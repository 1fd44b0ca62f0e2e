// Package remediate says what may be done about a finding: actions, the steps
// that carry them, and the playbooks that put steps in order from cheap to
// drastic.
//
// A [Playbook] is plain data. It can be listed ([Playbook.String],
// [Playbook.Describe]), checked before it is used ([Playbook.Validate]) and
// approved by a person ([Playbook.Fingerprint]); nothing in this package runs a
// step. That is for the supervisor of the root package, which asks the rails
// first, verifies afterwards and puts back what was temporary.
//
// An [Action] is any function with the right arguments. Ready ones are
// [Sequence], [All], [Once] and [Recycle] here, the command package for
// programs of the machine and the webhook package for services elsewhere.
//
// The package imports detect, the standard library and, behind [Backoff], a
// library of pauses. Escalation, engine and supervisor import it; it imports
// none of them. It holds no global state.
package remediate
