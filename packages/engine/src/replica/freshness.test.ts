import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { Freshness } from './freshness.ts'

const wait = limits.authorityStale

/** One neighbour; `bring` adds an entry that the authority signed at that time, and `pass` lets time go by. */
const world = () => {
  const peer = { key: '', publicKey: new Uint8Array(0), isAuthority: false, certificate: undefined }
  const state = { now: 10 * wait, due: Number.POSITIVE_INFINITY, run: (): void => undefined, told: 0 }
  const entries = [{ time: state.now }]
  const link = {}
  const freshness = new Freshness({
    runtime: {
      timer: (ms, run) => {
        Object.assign(state, { due: state.now + ms, run })
        return () => Object.assign(state, { due: Number.POSITIVE_INFINITY })
      },
    },
    clock: { now: () => state.now },
    authority: false,
    connections: [{ peer, reconciler: () => link }],
    repositories: [{ pipeline: { log: { entries } } }],
    changed: () => state.told++,
  })
  freshness.look()
  const pass = (ms: number): void => {
    const end = state.now + ms
    while (state.due <= end) {
      state.now = state.due
      state.run()
    }
    state.now = end
  }
  const bring = (time: number): void => {
    entries.push({ time })
    freshness.heard('/board/x', link)
  }
  return { freshness, state, pass, bring }
}

test('[S14] news of now keeps the view fresh, and ends that it is not', () => {
  const { freshness, state, pass, bring } = world()
  for (let minute = 0; minute < 60; minute++) {
    pass(60_000)
    bring(state.now)
  }
  expect([freshness.stale, state.told]).toEqual([undefined, 0])
  const last = state.now
  pass(2 * wait)
  expect([freshness.stale?.heard, state.told]).toEqual([last, 1])
  bring(state.now - 1_000)
  expect([freshness.stale, state.told]).toEqual([undefined, 2])
})

test('[S14] old entries, handed out one at a time, are no news', () => {
  const { freshness, state, pass, bring } = world()
  const began = state.now
  for (let minute = 1; minute <= 30; minute++) {
    pass(60_000)
    bring(began + minute)
    if (minute * 60_000 >= 2 * wait) expect(freshness.stale, `minute ${minute}`).toBeDefined()
  }
})
