// Package host watches what a process gets from the machine, container and network
// that it runs on: descriptors, memory pressure and kills, CPU quota and stalls, the
// wall clock, certificates and DNS.
//
//	heal.Install(host.Module(host.Options{}))
//
// # What is watched and what is done
//
//	clock               jumps, skew, and a time daemon that has gone. No ladder; [Trust]
//	                    tells the service, which then takes no lease.
//	descriptors         open files against the soft limit, and the host's whole table.
//	                    Close idle connections, take fewer ([Accepts]), recycle. A
//	                    [Reserve] keeps some for paging and health checks.
//	memory-pressure     time that tasks wait for memory (PSI). Options.DropCaches, Shed,
//	                    PauseBatch; a recycle where the memory is the process' own.
//	oom                 kills for want of memory, of others in the control group and of
//	                    the run before this one. DropCaches, Reduce for a day.
//	memory-high         the kernel slows the control group down. DropCaches.
//	cpu-throttling      periods in which the CPU quota was used up. Options.Pace.
//	stalls              time that tasks wait for processors and I/O (PSI). Options.Pace.
//	certificate-stale   what is served is not what is in the file. Reload ([Keypair]).
//	certificate-expiry  29, 14, 7 and 1 days before the end. Certificate.Renew, once each.
//	dns                 names that do not resolve. Last good answers, a second server
//	                    ([Resolver]), Reconnect.
//
// Most have two thresholds: on the early one, under the key [Early], a ladder does only
// what nobody notices, and people are told; on the other it climbs. What is of use in
// ladders of one's own is exported: [CloseIdle], [Accepts.Step], [ReloadCertificate],
// [RenewCertificate], [Keypair.Reload], [Resolver.ServeLastGood], [Resolver.UseSecond]. People are called at
// once for a full file table of the host, a second kill within the hour, several names
// that fail at once, and an authority of a chain that ends. Where a notice itself needs
// DNS to go out it will not, when DNS is what fails: give one notifier an address.
//
// # What a host does not have
//
// Pressure files (CONFIG_PSI, psi=1), a memory.events or a v1 oom_control that counts
// kills, a cpu.stat that counts nr_throttled: not every kernel or control group has
// them. [Module] looks once, when it is called. A watch for which there is nothing to
// read is blind from the start, with that reason: the log says it once, Status and the
// metrics for as long as the module runs, and nobody is called. What is there and cannot
// be read is blind too, and then people are called; so is a single watch, such as
// [MemoryPressure], that is asked for by name. What comes later, such as a remount,
// needs a new Module; a quota that comes later is seen within a minute.
//
// Every reader takes Options.Root, so that recorded trees can be watched: those of
// control groups of version 1, of version 2 and of hybrid hosts are in testdata, and
// prove what the machine that runs the tests lacks, such as a live memory.events.
// Elsewhere than on Linux the clock (jumps, [SNTP]), certificates and DNS remain.
//
// # Never
//
// The clock is never set and the time daemon never restarted. No descriptor is closed
// by its number. The kernel's caches are not dropped, nobody is killed, no limit of the
// control group is raised, no priority changed. A certificate is never signed here nor
// its verification switched off: the handshake that looks at what is served sends
// nothing and believes nothing. An empty answer of DNS never means that a name has no
// addresses, and no file of the resolver is written.
//
// # A kill of the process itself
//
// A kill asks nobody, so it is seen by the run after it: Options.OOM.StateDir, by
// default $STATE_DIRECTORY, holds a small file that says whether the run ended cleanly,
// how many kills its control group had counted, and whether it was at 90 % of its limit.
// An end that was not clean is put down to a kill only if one of the two speaks for it.
// The file is written at the start, at the end, and when one of these changes. With it
// a heap profile is kept when memory gets short, the newest three, which is the evidence
// after the kill. While the service is reduced for a day its incident stays open, so
// that people hear of it after an hour at the latest.
//
// # Costs
//
// Measured on two shared cores of a 2.1 GHz server with Go 1.26: a look takes 2 to 20 µs
// and allocates nothing while all is well, since files are kept open and read in place;
// all watches of the kernel together take 0.002 % of one core at their interval of 2 s.
// Where the kernel does not tell the number of descriptors (before Linux 6.2) they are
// listed, for at most 0.5 % of the time. A TLS handshake a minute costs some
// milliseconds, a name every 15 s a packet or two. Nothing here stops the world, save
// the heap profile when memory gets short, at most every 10 min.
package host
