package goruntime

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"time"
)

// leaks are programs that leak: one does so once, from a site whose name contains
// site; count is how many goroutines that adds, 0 where it is not known.
var leaks = map[string]struct {
	one   func(w *ward)
	site  string
	count int
	proof bool // nothing else can reach what they wait for
}{
	"blocked send":    {leakSend, ".leakSend.", 1, true},
	"full buffer":     {leakFull, ".leakFull.", 1, true},
	"blocked receive": {leakReceive, ".consume ", 1, true},
	"range":           {leakRange, ".leakRange.", 1, true},
	"nil channel":     {leakNil, ".leakNil.", 1, true},
	"select":          {leakSelect, ".leakSelect.", 1, true},
	"mutex":           {leakMutex, ".leakMutex.", 1, true},
	"rwmutex":         {leakRWMutex, ".leakRWMutex.", 1, true},
	"deadlock":        {leakDeadlock, ".leakDeadlock.", 2, true},
	"waitgroup":       {leakWaitGroup, ".leakWaitGroup.", 1, true},
	"waitgroup.Go":    {leakGo, ".leakGo.", 1, true},
	"cond":            {leakCond, ".leakCond.", 1, true},
	"pipeline":        {leakPipeline, ".relay ", 3, true},
	"deep stack":      {leakDeep, ".descend ", 1, true},
	"context":         {leakContext, ".leakContext.", 1, false},
	"subscriber":      {leakSubscriber, ".leakSubscriber.", 1, false},
	"ticker":          {leakTicker, ".leakTicker.", 1, false},
	"sleep":           {leakSleep, ".leakSleep.", 1, false},
	"http body":       {leakBody, "net/http.", 0, false},
}

func leakSend(*ward) {
	answer := make(chan int)
	go func() { answer <- 1 }() // who asked has given up
}

func leakFull(*ward) {
	jobs := make(chan int, 2)
	go func() {
		for i := range 3 {
			jobs <- i
		}
	}()
}

func leakReceive(*ward) { go consume(make(chan int)) }

func consume(c chan int) int { return <-c }

func leakRange(*ward) {
	c := make(chan int)
	go func() {
		for range c { // nobody closes it
		}
	}()
}

func leakNil(*ward) {
	var c chan int
	go func() { c <- 1 }()
}

func leakSelect(*ward) {
	a, b := make(chan int), make(chan int)
	go func() {
		select {
		case <-a:
		case b <- 1:
		}
	}()
}

func leakMutex(*ward) {
	mu := new(sync.Mutex)
	mu.Lock() // and an early return
	go func() {
		mu.Lock()
		defer mu.Unlock()
	}()
}

func leakRWMutex(*ward) {
	mu := new(sync.RWMutex)
	mu.RLock()
	go func() {
		mu.Lock()
		defer mu.Unlock()
	}()
}

func leakDeadlock(*ward) {
	a, b := new(sync.Mutex), new(sync.Mutex)
	var both sync.WaitGroup
	both.Add(2)
	cross := func(x, y *sync.Mutex) {
		x.Lock()
		both.Done()
		both.Wait()
		y.Lock()
	}
	go cross(a, b)
	go cross(b, a)
}

func leakWaitGroup(*ward) {
	wg := new(sync.WaitGroup)
	wg.Add(1)
	go func() { wg.Wait() }()
}

func leakGo(*ward) {
	var wg sync.WaitGroup
	done := make(chan int)
	wg.Go(func() { <-done })
}

func leakCond(*ward) {
	c := sync.NewCond(new(sync.Mutex))
	go func() {
		c.L.Lock()
		c.Wait()
	}()
}

func leakPipeline(*ward) {
	a, b, c, d := make(chan int), make(chan int), make(chan int), make(chan int)
	go relay(a, b)
	go relay(b, c)
	go relay(c, d)
}

func relay(in, out chan int) {
	for v := range in {
		out <- v
	}
}

func leakDeep(*ward) { go descend(60, make(chan int)) }

func descend(n int, c chan int) int {
	if n == 0 {
		return <-c
	}
	return descend(n-1, c) + 1
}

func leakContext(w *ward) {
	ctx, cancel := context.WithCancel(context.Background())
	w.kept = append(w.kept, cancel)
	go func() { <-ctx.Done() }()
}

func leakSubscriber(w *ward) {
	events := make(chan int, 1)
	w.kept = append(w.kept, events)
	go func() {
		for range events {
		}
	}()
}

func leakTicker(*ward) {
	go func() {
		for range time.Tick(20 * time.Second) {
		}
	}()
}

func leakSleep(*ward) {
	go func() {
		for {
			time.Sleep(time.Hour)
		}
	}()
}

// remote begins an answer and never ends it, with one goroutine for all clients.
var remote = sync.OnceValue(func() (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for kept := []net.Conn{}; ; {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			kept = append(kept, conn)
			_, _ = conn.Read(make([]byte, 4096)) // the question
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		}
	}()
	return l.Addr().String()
})

var client = sync.OnceValue(func() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}}
})

func leakBody(w *ward) {
	resp, err := client().Get("http://" + remote())
	if err != nil {
		panic(err)
	}
	w.kept = append(w.kept, io.Reader(resp.Body)) // and not closed
}

// handle, work and idle are what healthy goroutines do until they are told to end.
func handle(end chan struct{}) { <-end }
func work(end chan struct{})   { <-end }
func idle(end chan struct{})   { <-end }

// traffic is what a service does all the time: requests, a pool that follows the
// load, and a burst now and then.
func traffic(w *ward) func(w *ward, s int) {
	resize := pool(w)
	return func(w *ward, s int) {
		for range poisson(w.rnd, 5) {
			w.live(w.life(4*time.Second), handle)
		}
		resize(70 + int(50*math.Sin(float64(s)/200)))
		if w.rnd.IntN(420) == 0 {
			for range 300 {
				w.live(w.life(5*time.Second), handle)
			}
		}
	}
}

// pool is workers that come and go.
func pool(w *ward) (resize func(n int)) {
	var quit []chan struct{}
	return func(n int) {
		for len(quit) < n {
			c := make(chan struct{})
			quit = append(quit, c)
			w.alive++
			go work(c)
		}
		for len(quit) > n {
			last := quit[len(quit)-1]
			quit = quit[:len(quit)-1]
			w.after(0, func() { w.alive--; close(last) })
		}
	}
}

// healthy are programs that do not leak, however they look.
var healthy = map[string]func(w *ward) func(w *ward, s int){
	"quiet": func(*ward) func(*ward, int) { return func(*ward, int) {} },
	"bursts": func(*ward) func(*ward, int) {
		return func(w *ward, s int) {
			if w.rnd.IntN(240) == 0 {
				for range 200 + w.rnd.IntN(800) {
					w.live(w.life(10*time.Second), handle)
				}
			}
		}
	},
	"elastic pool": func(w *ward) func(*ward, int) {
		resize, phase := pool(w), w.rnd.Float64()*6
		return func(w *ward, s int) { resize(100 + int(90*math.Sin(phase+float64(s)/570))) } // an hour
	},
	"sawtooth pool": func(w *ward) func(*ward, int) {
		resize, period := pool(w), 120+w.rnd.IntN(1200)
		return func(w *ward, s int) { resize(10 + s%period*200/period) }
	},
	"ramp of 40 s":   ramp(40),
	"ramp of 10 min": ramp(600),
	"ramp of 1 h":    ramp(3600),
	"saturates in 5 min": func(w *ward) func(*ward, int) {
		resize := pool(w)
		return func(_ *ward, s int) { resize(int(400 * (1 - math.Exp(-float64(s)/100)))) }
	},
	"saturates in 1 h": func(w *ward) func(*ward, int) {
		resize := pool(w)
		return func(_ *ward, s int) { resize(int(400 * (1 - math.Exp(-float64(s)/1200)))) }
	},
	"batch every 15 min": func(*ward) func(*ward, int) {
		return func(w *ward, s int) {
			if s%900 == 60 {
				for range 200 {
					w.live(4*time.Minute+w.life(3*time.Minute), work)
				}
			}
		}
	},
	"batch fed slowly": func(*ward) func(*ward, int) {
		return func(w *ward, s int) { // one more job each second for 2 min, all done after 5
			if at := s % 1200; at >= 300 && at < 420 {
				w.live(time.Duration(600-at)*time.Second, work)
			}
		}
	},
	"5,000 idle conns": func(w *ward) func(*ward, int) {
		return func(w *ward, s int) {
			if s == 1 {
				for range 5000 {
					one, other := net.Pipe()
					w.kept = append(w.kept, other)
					w.alive++
					go func() { _, _ = one.Read(make([]byte, 1)) }()
				}
			}
			if w.rnd.IntN(10) == 0 {
				w.live(w.life(time.Minute), idle)
			}
		}
	},
	"long-lived conns": func(*ward) func(*ward, int) { // from none, with heavy tails
		return func(w *ward, s int) {
			if w.rnd.IntN(2) == 0 {
				life := 30 * time.Second * time.Duration(math.Min(math.Pow(w.rnd.Float64(), -0.8), 60))
				w.live(life, idle)
			}
		}
	},
	"growing load": func(*ward) func(*ward, int) {
		return func(w *ward, s int) {
			for range poisson(w.rnd, 2+20*math.Min(float64(s)/5400, 1)) {
				w.live(w.life(8*time.Second), handle)
			}
		}
	},
	"staircase": func(w *ward) func(*ward, int) {
		resize := pool(w)
		return func(_ *ward, s int) { resize(20 + min(s/3000, 4)*60) }
	},
	"traffic": traffic,
	"parked": func(*ward) func(*ward, int) {
		return func(w *ward, s int) {
			if s < 90 && s%30 == 1 {
				w.alive++
				go func() { select {} }()
			}
		}
	},
	"waits for a timer": func(*ward) func(*ward, int) {
		return func(w *ward, s int) {
			if s < 20 {
				c := make(chan int)
				time.AfterFunc(24*time.Hour, func() { close(c) })
				w.alive++
				go func() { <-c }()
			}
		}
	},
}

func ramp(seconds int) func(w *ward) func(*ward, int) {
	return func(w *ward) func(*ward, int) {
		resize := pool(w)
		return func(_ *ward, s int) { resize(10 + min(s, seconds)*300/seconds) }
	}
}
