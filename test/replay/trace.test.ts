import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { hasPairs, readTrace, type Step, stepsOf, type Trace, type TraceFile, traceOf, unitsOf } from './trace.ts'

const concurrent = (...transactions: [agent: number, parents: number[]][]): Trace =>
  traceOf('made', {
    kind: 'concurrent',
    endContent: '',
    numAgents: 2,
    txns: transactions.map(([agent, parents], place) => ({ agent, parents, patches: [[place, 0, String(place)]] })),
  })

const shape = (steps: readonly Step[]): string[] =>
  steps.map(({ agent, parents, patches }) => `${agent}:${patches.map(([at]) => at).join('+')}<${parents.join(',')}`)

describe('packing', () => {
  test('leaves one transaction a commit unless told', () => {
    expect(shape(stepsOf(concurrent([0, []], [0, [0]], [0, [1]])))).toEqual(['0:0<', '0:1<0', '0:2<1'])
  })

  test('joins runs of one agent, up to so many edits', () => {
    expect(shape(stepsOf(concurrent([0, []], [0, [0]], [0, [1]], [0, [2]]), 3))).toEqual(['0:0+1+2<', '0:3<0'])
  })

  test('begins anew where another agent goes on, where two go on, and where two are merged', () => {
    expect(shape(stepsOf(concurrent([0, []], [0, [0]], [1, [1]], [1, [2]]), 9))).toEqual(['0:0+1<', '1:2+3<0'])
    expect(shape(stepsOf(concurrent([0, []], [0, [0]], [1, [0]], [0, [1]], [0, [2, 3]]), 9))).toEqual([
      '0:0<',
      '0:1+3<0',
      '1:2<0',
      '0:4<2,1',
    ])
  })

  test('does not put a transaction into a commit that went on without it', () => {
    const steps = stepsOf(concurrent([0, []], [0, [0]], [1, [1]], [0, [1]]), 9)
    expect(shape(steps)).toEqual(['0:0+1<', '1:2<0', '0:3<0'])
  })

  test('packs a sequential trace whatever its transactions', () => {
    const file: TraceFile = { endContent: '', txns: [1, 2, 3, 4].map((at) => ({ patches: [[at, 0, 'x']] })) }
    expect(shape(stepsOf(traceOf('made', file), 2))).toEqual(['0:1+2<', '0:3+4<0'])
  })
})

describe('a trace file', () => {
  const file: TraceFile = { startContent: '', endContent: 'é🧵', txns: [{ patches: [[0, 0, 'é🧵']] }] }

  test.each([false, true])('is read plain or gzipped (%s)', (zipped) => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-trace-'))
    try {
      const path = join(folder, zipped ? 'small.json.gz' : 'small.json')
      const text = Buffer.from(JSON.stringify(file))
      writeFileSync(path, zipped ? gzipSync(text) : text)
      expect(readTrace(path)).toEqual(traceOf('small', file))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('counts code points', () => {
    expect(hasPairs(traceOf('small', file))).toBe(true)
    expect(hasPairs(traceOf('small', { endContent: 'é', txns: [{ patches: [[0, 0, 'é']] }] }))).toBe(false)
    expect([0, 1, 2, 3, 9].map((points) => unitsOf('a🧵b', points))).toEqual([0, 1, 3, 4, 4])
    expect(unitsOf('🧵🧵b', 1, 2)).toBe(4)
  })
})
