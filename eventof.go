package selfheal

import "github.com/selfheal-go/selfheal/internal/incident"

// event turns what the engine says into what observers get.
func event(ev *incident.Event, a About) Event {
	switch ev.Kind {
	case incident.EvFound:
		return EventFound{a, ev.Finding}
	case incident.EvBlip:
		return EventBlip{a, ev.Finding}
	case incident.EvOpen:
		return EventOpen{a, ev.Finding, ev.Again}
	case incident.EvHold:
		return EventHold{a, ev.Step, ev.Rail, ev.Why}
	case incident.EvRelease:
		return EventRelease{a, ev.Step, ev.Rail, ev.Duration}
	case incident.EvStart:
		return EventStart{a, ev.Step, ev.Number}
	case incident.EvStep:
		return EventStep{a, ev.Number, ev.Attempt}
	case incident.EvWould:
		return EventWould{a, ev.Step}
	case incident.EvAsk:
		return EventAsk{a, ev.Step, ev.ID}
	case incident.EvApprove, incident.EvReject:
		return EventAnswer{a, ev.Step, ev.ID, ev.By, ev.Kind == incident.EvApprove}
	case incident.EvUndo:
		return EventUndo{a, ev.Step, ev.Err}
	case incident.EvPage:
		return EventPage{a, ev.Reason, ev.Why, 1, 0}
	case incident.EvInform:
		return EventInform{a}
	case incident.EvResolve:
		return EventResolve{a}
	case incident.EvClose:
		return EventClose{a, ev.Duration}
	case incident.EvBlind:
		return EventBlind{a, ev.Err}
	case incident.EvSight:
		return EventSight{a, ev.Duration}
	case incident.EvTilt:
		return EventTilt{a, ev.Why}
	case incident.EvCalm:
		return EventCalm{a, ev.Duration}
	case incident.EvStorm:
		return EventStorm{a, ev.Why}
	case incident.EvStormOver:
		return EventStormOver{a, ev.Duration}
	case incident.EvSafeMode:
		return EventSafeMode{a, ev.Why}
	case incident.EvSafeModeOver:
		return EventSafeModeOver{a, ev.Duration}
	case incident.EvDegraded:
		return EventDegraded{a, ev.Why}
	case incident.EvRecovered:
		return EventRecovered{a, ev.Duration}
	case incident.EvHalt:
		return EventHalt{a, ev.By, ev.Why}
	case incident.EvResume:
		return EventResume{a, ev.By}
	case incident.EvSilence:
		return EventSilence{a, ev.ID, ev.By, ev.Why}
	case incident.EvUnsilence:
		return EventUnsilence{a, ev.ID, ev.By}
	case incident.EvAck:
		return EventAck{a, ev.By}
	case incident.EvBreaker:
		return EventBreaker{a, ev.Duration}
	case incident.EvDrop:
		return EventDrop{a, ev.Number}
	}
	return nil
}
