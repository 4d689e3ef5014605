/** `npm run replay -- FILE [--transport memory|socketio] [--every N] [--json]` */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { nodeFiles } from '@weft-db/storage/node'
import { replay } from './replay.ts'
import { readTrace } from './trace.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { transport: { type: 'string' }, every: { type: 'string' }, json: { type: 'boolean' } },
})
const [file] = positionals
const { transport = 'socketio' } = values
const every = Number(values.every ?? 1)
if (
  file === undefined ||
  (transport !== 'memory' && transport !== 'socketio') ||
  !(Number.isInteger(every) && every > 0)
) {
  console.error('npm run replay -- FILE [--transport memory|socketio] [--every N] [--json]')
  process.exit(2)
}
const directory = await mkdtemp(join(tmpdir(), 'weft-replay-'))
try {
  let told = 0
  const report = await replay(readTrace(file), {
    transport,
    every,
    files: nodeFiles(directory),
    onProgress: (step, of) => {
      const tenth = Math.floor((10 * step) / of)
      if (tenth === told) return
      told = tenth
      console.error(`${tenth}0 % of ${of} commits`)
    },
  })
  if (values.json) console.log(JSON.stringify(report))
  else
    for (const [name, value] of Object.entries(report))
      console.log(`${name.padEnd(18)}${Array.isArray(value) ? value.join('; ') : value}`)
  if (!report.converged || !report.matchesEndContent || !report.exactParents) process.exitCode = 1
} finally {
  await rm(directory, { recursive: true, force: true })
}
