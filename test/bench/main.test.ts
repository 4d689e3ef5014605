import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
const bench = (...args: string[]) =>
  promisify(execFile)(process.execPath, ['--import', 'tsx', '--conditions=weft-source', main, ...args])

test('an area there is none of is told with the ones there are', async () => {
  const failure = await bench('speed').catch((error: unknown) => error)
  expect(failure).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('reconcile, crypto, local, storage, text, propagate, mesh'),
  })
})

test('an option there is none of is told', async () => {
  expect(await bench('--fast').catch((error: unknown) => error)).toMatchObject({ code: 2, stdout: '' })
})

test('with --json every line is one measurement, and ours stand beside a limit or somebody else', async () => {
  const { stdout } = await bench('crypto', '--quick', '--json')
  const lines: Record<string, unknown>[] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const known = new Set(
    'area case engine metric value unit limit ratioToBaseline baseline ratioToBest bestPeer'.split(' '),
  )
  for (const line of lines) {
    expect(Object.keys(line).filter((key) => !known.has(key))).toEqual([])
    for (const key of ['area', 'case', 'engine', 'metric', 'unit']) expect(line[key], key).toEqual(expect.any(String))
    expect(line['value']).toBeGreaterThan(0)
    expect('ratioToBaseline' in line).toBe('baseline' in line)
    expect('ratioToBest' in line).toBe('bestPeer' in line)
  }
  const ours = lines.filter(({ engine }) => engine === 'weft')
  expect(ours.map((line) => line['case'])).toContain('sign and encode a commit')
  expect(ours.filter((line) => 'limit' in line).length).toBeGreaterThanOrEqual(4)
  expect(ours.filter((line) => 'ratioToBaseline' in line).length).toBeGreaterThanOrEqual(5)
})
