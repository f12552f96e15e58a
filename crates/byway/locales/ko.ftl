# 판정, 우회, 훈련에 대해 Byway가 하는 말. 이름은 번역하지 않는다.

verdict-healthy = { $provider }: 정상입니다.
verdict-blocks_addresses = { $provider } 쪽에서 { $failing } 주소를 차단하고 있습니다: { $evidence }.
verdict-challenges_us = { $provider } 쪽에서 { $failing } 요청에 로봇이 아니라는 증명을 요구합니다: { $evidence }.
verdict-fails_here = { $provider }: { $failing } 경로에서만 실패하고 { $healthy } 경로에서는 됩니다: { $evidence }.
verdict-limits_us = { $provider } 쪽에서 요청 수를 제한합니다(429). 요청받은 대기 시간은 모든 경로에 적용됩니다.
verdict-provider_down = { $provider } 쪽 장애입니다: { $evidence }.
verdict-provider_slow = { $provider } 쪽 응답이 느립니다: { $evidence }.
verdict-contract_broken = { $provider } 응답이 평소와 다릅니다: { $evidence }.
verdict-our_network = { $provider } 문제가 아니라 우리 네트워크 문제입니다: { $evidence }. 같은 경로로 다른 곳도 안 됩니다.
verdict-our_dns = { $provider } 문제가 아니라 우리 네임서버 문제입니다: 다른 이름도 조회되지 않습니다.
verdict-our_tls = { $provider } 문제가 아니라 우리 TLS 설정이나 시계 문제입니다: 다른 곳의 인증서도 거부됩니다.
verdict-our_request = 주소가 아니라 요청이 거부됩니다: { $provider } 응답이 모든 경로에서 같습니다({ $evidence }).
verdict-this_path = { $provider } 문제가 아니라 우리 출구 { $failing } 문제입니다: { $evidence }.
verdict-cannot_tell = { $provider } 호출에 문제가 있으나({ $evidence }) 누구 탓인지 아직 말할 수 없습니다.

works-over = 같은 요청이 { $healthy } 경로로는 성공합니다.
since = { $since }부터.
only-tunnels = 터널 바깥만 보입니다: 연결, TLS, 바이트 수는 알 수 있고 상태 코드와 내용은 알 수 없습니다.
confidence-weak = 아직 의심 단계입니다.
confidence-likely = 유력하지만 증명되지는 않았습니다: 반대되는 다른 경로가 없습니다.

test-other_path = 확인 방법: 주소가 다른 경로로 같은 요청을 보내 봅니다(제공자의 `paths`).
test-other_provider = 확인 방법: 같은 경로로 다른 제공자를 호출하거나 `exit_echo`를 설정합니다.
test-other_name = 확인 방법: 같은 네임서버에서 다른 제공자의 이름을 조회합니다.
test-more_traffic = 확인 방법: 요청이 더 필요합니다.

who-ours = 우리 우회가 효과를 냈습니다: 새 경로는 되고 원래 경로는 여전히 안 됩니다.
who-theirs = { $provider } 쪽에서 풀었습니다: 우리가 아무것도 바꾸지 않은 원래 경로가 다시 됩니다.
who-broken = 우리 변경이 잘못되었습니다: 원래 경로는 되고 새 경로가 안 됩니다.
who-inconclusive = 누가 해결했는지 말할 수 없습니다: 자료가 부족합니다.
carried = 그때까지는 우리 우회로가 트래픽을 받았습니다.

detour-active = { $path } 경로로 우회 중, { $until }까지.
detour-none = 우회하지 않음: { $why }.
no-detour-not_granted = `on_block`이 "detour"가 아님
no-detour-expired = 허가 기간이 끝남
no-detour-stopped = 사람이 멈춤
no-detour-locked = 잠김, 제공자가 거절함
no-detour-exhausted = 허용된 시간을 다 씀
no-detour-gated = 제공자가 대기를 요청함
order-stopped = { $by } 님이 우회를 멈췄습니다: { $reason }
order-locked = { $by } 님이 잠갔습니다(제공자가 거절함): { $reason }
gated = 제공자가 { $until }까지 기다려 달라고 했습니다. 모든 경로에 적용됩니다.
allowance = 제공자 안내: { $limit }건 중 { $left }건 남음({ $at } 기준).
affects = 영향: { $what }.
still-works = 정상: { $what }.
relay-fails = 릴레이 { $path }은(는) 지금 쓸 수 없습니다({ $at }): { $detail }
relay-blocked = 릴레이 { $path }로는 공급자가 평소처럼 답하지 않습니다({ $at }): { $detail }
nothing-wrong = 이상 없음.
no-provider = 아직 판정할 제공자가 없습니다: 호출이 없었습니다.
recovered = { $at }부터 다시 됩니다. 닫기 전에 한동안 지켜봅니다.
comparing = 경로를 비교하는 중입니다.

col-path = 경로
col-exit = 나가는 주소
col-state = 상태
col-recent = 성공 / 실패
col-last = 마지막 실패 또는 점검
col-status = 상태 코드
col-time = 시간
exit-configured = 설정값
exit-echo = 외부 확인
exit-trace = 상대 쪽 확인
exit-peer = 피어가 알려 줌
exit-relay = 릴레이가 알려 줌
exit-local = 로컬 주소
exit-unknown = 알 수 없음
cell-up = 정상
cell-down = 차단·장애
cell-probing = 확인 중
cell-ramping = 늘리는 중
state-up = 정상
state-down = { $until }까지 제외
state-probing = 확인 중, 다음 { $until }
state-ramping = 늘리는 중, { $share } %
flapping = 불안정

try-same = 모든 경로의 응답이 같습니다.
try-differs = 응답이 다릅니다:

drill-notice = 첫 실패 감지까지
drill-verdict = 판정까지
drill-detour = 우회까지
drill-requests = 요청
drill-lost-before = 판정 전 실패
drill-lost-after = 판정 후 실패
drill-stale = 저장된 응답으로 처리
drill-received = 제공자가 받은 요청
drill-probes = 점검 요청
drill-verdicts = 판정 맞음 / 틀림
drill-yes = 확인
drill-no = 어긋남
drill-right = 훈련 { $name }: 모두 예상대로입니다.
drill-wrong = 훈련 { $name }: 예상과 다릅니다.
