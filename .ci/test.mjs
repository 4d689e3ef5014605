/**
 * `npm test`: every stage one after another, each within its own budget, two at a time where one of them keeps a single core
 * busy. `npm test -- unit tidy` runs the named stages alone. The last line counts what passed and what failed.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { endAll, onStop, run } from './processes.mjs'

const node = process.execPath
const tsc = ['node_modules/typescript/bin/tsc']
const typeChecks = [
  [...tsc, '-p', 'packages/engine'],
  [...tsc, '-p', '.'],
  ['demo/node_modules/svelte-check/bin/svelte-check', '--workspace', 'demo', '--fail-on-warnings', '--output', 'human'],
]
const vitest = (name, ...more) => [['node_modules/vitest/vitest.mjs', 'run', '--project', name, ...more]]
/** Left alone it keeps one core free. */
const onAllCores = ['--maxWorkers', `${availableParallelism()}`]

/** Seconds are budgets on two cores, with room. A stage that takes longer is ended and has failed. */
const stages = {
  types: { seconds: 120, commands: typeChecks },
  lint: { seconds: 20, commands: [['node_modules/@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '.']] },
  tidy: { seconds: 40, commands: vitest('tidy'), counted: true },
  unit: { seconds: 420, commands: vitest('unit', ...onAllCores), counted: true },
  simulation: { seconds: 460, commands: vitest('simulation', ...onAllCores), counted: true },
  browser: { seconds: 480, commands: [['.ci/chromium.mjs'], ['.ci/build.mjs'], ...vitest('browser')], counted: true },
}
/** What stands in one row of this table runs at the same time: the type checker keeps one core busy. */
const order = [['types', 'lint', 'tidy'], ['unit'], ['simulation'], ['browser']]

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const named = process.argv.slice(2)
const unknown = named.filter((name) => !Object.hasOwn(stages, name))
if (unknown.length > 0) {
  console.error(`No stage is called ${unknown.join(', ')}: there are ${Object.keys(stages).join(', ')}.`)
  process.exit(2)
}

const reports = mkdtempSync(join(tmpdir(), 'weft-test-'))
let stopped = false
onStop(async (code) => {
  stopped = true
  await endAll()
  rmSync(reports, { recursive: true, force: true })
  process.exit(code)
})

const total = { passed: 0, failed: 0 }
const started = Date.now()
for (const group of order) {
  const chosen = group.filter((name) => named.length === 0 || named.includes(name))
  const lanes = chosen.includes('types') ? [['types'], chosen.filter((name) => name !== 'types')] : [chosen]
  const output = lanes.length > 1 && chosen.length > 1 ? 'capture' : 'inherit'
  await Promise.all(
    lanes.map(async (lane) => {
      for (const name of lane) await runStage(name, output)
    }),
  )
}
rmSync(reports, { recursive: true, force: true })
console.log(`\nall stages in ${seconds(started)}\n${total.passed} passed, ${total.failed} failed`)
process.exit(total.failed === 0 ? 0 : 1)

async function runStage(name, output) {
  if (stopped) return
  const stage = stages[name]
  const began = Date.now()
  const report = join(reports, `${name}.json`)
  if (output === 'inherit') console.log(`\n-- ${name}`)
  let text = ''
  let reason
  for (const command of stage.commands) {
    const last = stage.counted && command === stage.commands.at(-1)
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const left = stage.seconds - (Date.now() - began) / 1_000
    const result = await run(node, last ? [...command, ...reporters] : command, {
      output,
      seconds: Math.max(left, 0.1),
    })
    if (stopped) return
    text += result.output
    if (result.left && !result.ended) text += `${command[0]} left processes behind; they were ended.\n`
    if (result.ended) reason = `longer than its ${stage.seconds} s`
    else if (result.code !== 0) reason ??= `exit code ${result.code}`
    if (result.ended || (result.code !== 0 && stage.counted)) break
  }
  const { passed, failed, skipped } = stage.counted
    ? counts(report, reason)
    : { passed: reason ? 0 : 1, failed: reason ? 1 : 0 }
  total.passed += passed
  total.failed += failed
  if (text.trim() !== '' && (failed > 0 || output === 'inherit')) console.log(text.trimEnd())
  const tests = stage.counted ? `, ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}` : ''
  console.log(
    `${failed === 0 ? 'ok    ' : 'FAILED'} ${name} in ${seconds(began)}${tests}${reason ? ` (${reason})` : ''}`,
  )
}

/** A file that does not even load holds no failed test, and a stage without any test has shown nothing: both count as one failure. */
function counts(report, reason) {
  let result
  try {
    result = JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0 } // ended, or failed before it ran a test
  }
  const passed = result.numPassedTests
  const unloaded = result.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length
  const failed = result.numFailedTests + unloaded
  const skipped = result.numPendingTests + result.numTodoTests
  return { passed, failed: failed === 0 && (reason || passed === 0) ? 1 : failed, skipped }
}

function seconds(since) {
  return `${((Date.now() - since) / 1_000).toFixed(1)} s`
}
