/** A sample of each campaign; `npm run fuzz` runs all of it, and `npm run soak` does. */
import { describe, expect, test, vi } from 'vitest'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { messageLimits } from '../../packages/engine/src/bytes/guard.ts'
import { stream } from '../sim/random.ts'
import { fuzzBytes, regressions } from './bytes.ts'
import { Coverage } from './coverage.ts'
import { manyHeads } from './heads.ts'
import { mutateBytes, mutateTree } from './mutate.ts'
import { permutations } from './permutations.ts'
import { poison } from './poison.ts'
import { isCanonical } from './profile.ts'
import { changedPrototype } from './prototypes.ts'
import { somePlain } from './samples.ts'
import { targets } from './targets.ts'
import { parse, write } from './tree.ts'

/** ms; on a busy machine these take ten times as long as on an idle one. */
vi.setConfig({ testTimeout: 60_000 })

describe('the tools', () => {
  test('a tree is written as it was read', () => {
    const draw = stream('1', 'trees')
    for (let times = 0; times < 500; times++) {
      const bytes = encode(somePlain(draw))
      const tree = parse(bytes)
      if (tree === undefined) throw new Error('an encoding is not a tree')
      expect(write(tree)).toEqual(bytes)
    }
  })

  test('mutations follow from the seed and make most encodings wrong', () => {
    const mutants = (): readonly (Uint8Array | undefined)[] => {
      const draw = stream('1', 'mutations')
      const bytes = Array.from({ length: 300 }, () => encode([somePlain(draw), somePlain(draw)]))
      return bytes.map((one, index) =>
        index % 2 === 0 ? mutateTree(one, bytes[0] ?? one, draw) : mutateBytes(one, bytes[0] ?? one, draw),
      )
    }
    expect(mutants()).toEqual(mutants())
    const right = mutants().filter((one) => one !== undefined && isCanonical(one, messageLimits))
    expect(right.length).toBeGreaterThan(30)
    expect(right.length).toBeLessThan(200)
  })

  test('coverage tells which input reached something new', () => {
    const target = targets.find(({ name }) => name === 'guard')
    const coverage = new Coverage(['engine/src/bytes/guard.ts'])
    target?.read(Uint8Array.of(1))
    coverage.look()
    target?.read(Uint8Array.of(2))
    expect(coverage.look()).toBe(undefined)
    target?.read(Uint8Array.of(0xc0, 0))
    const marks = coverage.look()
    expect(marks?.size).toBe(1)
    if (marks === undefined) return
    target?.read(Uint8Array.of(3))
    expect(coverage.divide(marks).ran.size).toBe(0)
    target?.read(Uint8Array.of(0xc1, 0))
    expect(coverage.divide(marks).missed.size).toBe(0)
    coverage.stop()
  })

  test('a changed prototype is noticed and put back', () => {
    expect(changedPrototype()).toBe(undefined)
    Reflect.set(Object.prototype, 'polluted', 1)
    expect(changedPrototype()).toBe('Object.prototype.polluted')
    expect(changedPrototype()).toBe(undefined)
    expect(Reflect.has({}, 'polluted')).toBe(false)
  })
})

test('what is run first for ever is of targets that exist', () => {
  const names = targets.map(({ name }) => name)
  expect(regressions().filter(({ target }) => !names.includes(target))).toEqual([])
  expect(regressions().length).toBeGreaterThan(10)
})

test.each(targets.map(({ name }) => name))('%s keeps its promises for any bytes', (target) => {
  const report = fuzzBytes({ inputs: 1500, seed: '1', target, brief: true })
  expect(report.found).toEqual([])
  expect(report.trials).toBe(1500)
  const [{ accepted = 0, reached = 0, corpus = 0 } = {}] = report.targets
  // A search that accepts nothing, or reaches nothing, shows nothing.
  expect(accepted).toBeGreaterThan(30)
  expect(reached).toBeGreaterThan(300)
  expect(corpus).toBeGreaterThan(64)
})

test('poison commits: every item opens, and every order gives one value', () => {
  const report = poison({ commits: 600, seed: '1' })
  expect(report.found).toEqual([])
  expect(report.judged).toBeGreaterThan(5)
  for (const [kind, { made, counted, refused }] of Object.entries(report.kinds))
    if (kind === 'good') expect(counted, kind).toBeGreaterThan(made / 2)
    else expect(made + refused, kind).toBeGreaterThan(0)
})

test('concurrent changes and random graphs give one value in every order', () => {
  const report = permutations({ graphs: 200, seed: '1' })
  expect(report.found).toEqual([])
  expect(report.trials).toBeGreaterThan(5912 + 399)
})

test('many heads and ladders of diamonds give one value', () => {
  expect(manyHeads({ count: 200 }).found).toEqual([])
})
