# What Byway says about verdicts, detours and drills. Names are never translated.

verdict-healthy = { $provider } works.
verdict-blocks_addresses = { $provider } blocks { $failing }: { $evidence }.
verdict-challenges_us = { $provider } wants proof that we are no robot on { $failing }: { $evidence }.
verdict-fails_here = { $provider } fails over { $failing } and works over { $healthy }: { $evidence }.
verdict-limits_us = { $provider } limits us (429): the pause it asked for holds on every path.
verdict-provider_down = { $provider } is down: { $evidence }.
verdict-provider_slow = { $provider } is slow: { $evidence }.
verdict-contract_broken = { $provider } answers something else than it used to: { $evidence }.
verdict-our_network = Our network fails, not { $provider }: { $evidence }, and other providers fail over the same paths.
verdict-our_dns = Our name servers fail, not { $provider }: they do not answer for other names either.
verdict-our_tls = Our TLS or our clock is wrong, not { $provider }: certificates of other providers are refused, too.
verdict-our_request = Our request is refused, not our address: { $provider } gives the same answer over every path ({ $evidence }).
verdict-this_path = Our own way out { $failing } is broken, not { $provider }: { $evidence }.
verdict-cannot_tell = Something is wrong with { $provider } ({ $evidence }), and it cannot be told who is to blame.

works-over = The same request over { $healthy } works.
since = Since { $since }.
only-tunnels = Only the outside of tunnels was seen: connect, TLS and byte counts, no status and no page.
confidence-weak = This is a suspicion.
confidence-likely = This is likely, not proven: no other path contradicts it.

test-other_path = What would settle it: the same request over a path with another address (`paths` of the provider).
test-other_provider = What would settle it: any other provider over the same path, or `exit_echo`.
test-other_name = What would settle it: another provider's name at the same name servers.
test-more_traffic = What would settle it: more requests.

who-ours = Our detour works: the new path passes, and the old one still fails.
who-theirs = { $provider } mended it without us: the old path passes again although nothing was changed on it.
who-broken = Our change is broken: the old path passes, and the new one fails.
who-inconclusive = Whose doing it is cannot be told: data is missing.
carried = Until then our detour carried the traffic.

detour-active = Detour over { $path } until { $until }.
detour-none = No detour: { $why }.
no-detour-not_granted = `on_block` is not "detour"
no-detour-expired = the grant has expired
no-detour-stopped = stopped by a person
no-detour-locked = locked, the provider said no
no-detour-exhausted = it has lasted as long as it may
no-detour-gated = the provider asked for a pause
order-stopped = Detours are stopped by { $by }: { $reason }
order-locked = Locked by { $by }, the provider said no: { $reason }
gated = The provider asked for a pause until { $until }; it holds on every path.
allowance = The provider says: { $left } of { $limit } requests left (at { $at }).
affects = Affected: { $what }.
still-works = Still works: { $what }.
relay-fails = The relay { $path } would be of no use now ({ $at }): { $detail }
relay-blocked = Over the relay { $path } the provider does not answer as usual ({ $at }): { $detail }
nothing-wrong = Nothing is wrong.
no-provider = No provider is judged yet: nothing was called.
recovered = Works again since { $at }; watched for a while before it is closed.
comparing = Paths are being compared.

col-path = path
col-exit = exit address
col-state = state
col-recent = good / failed
col-last = last failure or probe
col-status = status
col-time = time
exit-configured = configured
exit-echo = echoed
exit-trace = told by the edge
exit-peer = told by the peer
exit-relay = told by the relay
exit-local = local address
exit-unknown = unknown
cell-up = up
cell-down = DOWN
cell-probing = probing
cell-ramping = ramping
state-up = up
state-down = down until { $until }
state-probing = probing, next { $until }
state-ramping = ramping, { $share } %
flapping = flapping

try-same = The answers are the same on every path.
try-differs = The answers differ:

drill-notice = first failure seen after
drill-verdict = verdict after
drill-detour = detour after
drill-requests = requests
drill-lost-before = lost before the verdict
drill-lost-after = lost after the verdict
drill-stale = served from stored answers
drill-received = received by the provider
drill-probes = probes
drill-verdicts = verdicts right / wrong
drill-yes = ok
drill-no = MISSED
drill-right = Drill { $name }: everything as expected.
drill-wrong = Drill { $name }: not as expected.
