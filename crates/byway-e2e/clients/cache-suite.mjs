// Runs npm's http-cache-tests against a base URL and prints what became of its required tests:
//   node cache-suite.mjs FOLDER-OF-THE-SUITE BASE-URL
import dns from 'node:dns'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

// Not every resolver knows that localhost has children (RFC 6761 §6.3).
const lookup = dns.lookup
dns.lookup = (host, options, then) => {
  if (typeof options === 'function') [then, options] = [options, {}]
  if (!host.endsWith('.localhost')) return lookup(host, options, then)
  return options.all
    ? then(null, [{ address: '127.0.0.1', family: 4 }])
    : then(null, '127.0.0.1', 4)
}

const [folder, base] = process.argv.slice(2)
const load = file => import(pathToFileURL(join(folder, file)).href)
const { runTests, getResults } = await load('client/runner.mjs')
const tests = (await load('tests/index.mjs')).default
tests.push((await load('tests/surrogate-control.mjs')).default)
const fetch = (await load('../node-fetch/lib/index.mjs')).default

await runTests(tests, fetch, false, base)
const results = getResults()
const seen = { required_passed: 0, required_failed: [], stale: {} }
for (const suite of tests) {
  for (const test of suite.tests) {
    if (test.browser_only) continue
    const passed = results[test.id] === true
    if (suite.id === 'stale') seen.stale[test.id] = passed
    if ((test.kind ?? 'required') !== 'required') continue
    if (passed) seen.required_passed += 1
    else seen.required_failed.push({ id: test.id, why: results[test.id] })
  }
}
console.log(JSON.stringify(seen))
process.exit(0)
