// Package selfhealtest is for unit tests of healing: hours of an incident in
// milliseconds, through the real supervisor, without a clock to inject.
//
// # Virtual time
//
// A test runs in a bubble of testing/synctest. In there package time is virtual:
// it stands still while anything runs, and leaps to the next timer when
// everything waits. So the test sleeps through an incident, and what would have
// happened in production has happened, in the same order:
//
//	synctest.Test(t, func(t *testing.T) {
//		depth := selfhealtest.NewGauge(9_000)
//		shed := selfhealtest.Play(selfhealtest.Turn{Do: func() { depth.Set(100) }})
//		restore := selfhealtest.Play()
//		trial := selfhealtest.Start(t, selfheal.Watch{
//			Name: "orders/queue-depth", Detector: detect.Above(depth.Read, 5_000).ClearBelow(2_000),
//			For: 2 * time.Minute, KeepFor: 5 * time.Minute,
//			Playbook: remediate.Ladder(
//				remediate.Step{Name: "shed-load", Run: shed.Act, Undo: restore.Act, Settle: time.Minute},
//			),
//		})
//		time.Sleep(15 * time.Minute)
//		trial.Want(`
//			2m0s open orders/queue-depth: 9000 is above 5000
//			3m0s step shed-load: healed
//			8m0s undo shed-load
//			8m0s close`)
//		require.Empty(t, trial.Pager().Pages())
//	})
//
// Everything in the test is part of the bubble: the supervisor, the detectors, the
// steps. What leaves it does not see virtual time, or stops it: no sockets, no
// other processes, no channel that was made outside, and no mutex that is held
// while its holder sleeps. A bubble ends when its last goroutine does, and panics
// with a deadlock if one never will. [Start] stops its supervisor by t.Cleanup,
// which runs inside of the bubble, and says what is left over beforehand; doubles
// that hang are for the test to release.
//
// # When a watch looks
//
// In a trial every watch looks when it starts, and then at half its interval: with
// the interval of 1 s at 0 s, 0.5 s, 1.5 s and so on. A test changes things at
// whole seconds and asks at whole seconds, and no look happens at the same
// instant, where the order would be left to chance. What an incident itself waits
// for (For, Settle, KeepFor, a cooldown) is looked at exactly then, and asking at
// that very instant shows it: Timeline, Want and Events let everything happen first
// that is due. The doubles do not, so ask the trial before you ask them.
//
// # The timeline
//
// [Trial.Want] compares what happened, a line each, with what the test wants, and
// shows a diff. It compares all of it and nothing more: an unwanted page fails the
// test as a missing step does. A line is the time since the start, rounded down to
// whole seconds, and one of
//
//	open <watch>[<key>]: <summary>  an incident opened
//	hold <step>: <rail>             a rail forbids to go on; once for each rail
//	step <step>: <outcome>          a rung was climbed, and how that ended
//	would step <step>               what a watch in shadow would have done
//	undo <step>                     a temporary measure was put back; or ": failed"
//	ask <step>                      a person is asked
//	page <reason>                   people were told
//	inform                          Policy.Inform was told
//	resolve                         people were told that it is over
//	close                           the incident is over
//	blind: <error>                  a detector cannot see; once until it sees again
//	blip                            a finding vanished before For was over
//
// Where a trial has more than one incident, every line names its watch and key
// after the verb. Lines of one instant are ordered by watch, key and the order in
// which they happened. Indentation does not matter. [Trial.Events] has all the
// rest.
//
// # Doubles
//
// [Gauge] is a number for a threshold, [Script] a detector that plays frames,
// [Actor] an action that fails, takes long, hangs or panics as told, [Gate] a veto,
// [Pager] a notifier that records. [World] is a whole make-believe service, for
// tests of ladders, limits and policies. They work outside of bubbles too.
//
// # Conformance suites
//
// [TestDetector], [TestStep], [TestNotifier] and [TestModule] check your own parts
// against the contracts that the supervisor relies on, in real time and outside of
// any bubble, since each rule is a subtest:
//
//	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
//		depth := selfhealtest.NewGauge(100)
//		return selfhealtest.DetectorFixture{
//			Detector: detect.Above(depth.Read, 5_000).ClearBelow(2_000),
//			Sicken:   func() { depth.Set(9_000) },
//			Heal:     func() { depth.Set(100) },
//			Break:    func() { depth.Fail(errors.New("connection refused")) },
//		}
//	})
//
// They take a function that builds a fixture, never an instance: every rule begins
// with a new one. A fixture is the thing under test with the means to change its
// world; a means that is left out skips the rules that need it. A failure names
// the rule that is broken, what was seen, what the contract asks and what to do.
// The names of the rules do not change: go test -run TestQueue/level runs one, and
// Skip takes one out, with a reason.
//
// # Who may enter
//
// Whatever helps a user to test healing without a network, with the standard
// library and the packages above it in the loop. Nothing in the library imports
// this package.
package selfhealtest
