import { expect, test } from 'vitest'
import { KeptOut } from './keptout.ts'
import { Quota, userOf } from './quota.ts'
import { Buckets } from './rates.ts'

test('a bucket gives its burst at once and its rate for ever, to each key its own', () => {
  const buckets = new Buckets({ burst: 10, perSecond: 2 })
  let [given, now] = [0, 0]
  for (; now < 60_000; now += 10) if (buckets.take('a', 1, now) === 0) given++
  expect(given).toBe(10 + Math.floor(((now - 10) / 1_000) * 2))
  expect(buckets.take('b', 10, now)).toBe(0)
  expect(buckets.take('b', 1, now)).toBe(500)
})

test('the wait that is named is the one after which it is given, and asking takes nothing', () => {
  const buckets = new Buckets({ burst: 10, perSecond: 4 })
  buckets.take('a', 10, 0)
  const wait = buckets.take('a', 3, 0)
  expect(wait).toBe(750)
  expect(buckets.wait('a', 3, wait - 1)).toBeGreaterThan(0)
  expect(buckets.take('a', 3, wait)).toBe(0)
})

test('more than a burst is given by a full bucket and paid off afterwards; a clock that goes back gives nothing', () => {
  const buckets = new Buckets({ burst: 10, perSecond: 1 })
  expect(buckets.take('a', 1_000, 50_000)).toBe(0)
  expect(buckets.take('a', 1, 0)).toBeGreaterThan(0)
  expect(buckets.take('a', 1_000, 1_049_999)).toBeGreaterThan(0)
  expect(buckets.take('a', 1_000, 1_050_000)).toBe(0)
})

test('a bucket that ran dry gains a run before it gives again, and loses nothing by it', () => {
  const buckets = new Buckets({ burst: 100, perSecond: 10 }, { runSeconds: 5 })
  buckets.take('a', 100, 0)
  const given: number[] = []
  for (let now = 0; now < 20_000; now += 100) {
    let run = 0
    while (buckets.take('a', 1, now) === 0) run++
    if (run > 0) given.push(run)
  }
  expect(given).toEqual([50, 50, 50])
})

test('a million keys take the room of the most that are kept; the one in use is kept', () => {
  const buckets = new Buckets({ burst: 2, perSecond: 0 }, { most: 1_000 })
  buckets.take('mine', 2, 0)
  for (let key = 0; key < 1_000_000; key++) {
    buckets.take(`${key}`, 1, 0)
    if (key % 500 === 0) expect(buckets.take('mine', 1, 0)).toBe(Number.POSITIVE_INFINITY)
  }
  expect(buckets.size).toBe(1_000)
})

test('offences beyond the free ones keep out for twice as long each, across channels, and are forgotten in time', () => {
  const kept = new KeptOut({ burst: 1, perSecond: 0.002 }, 3_600_000, 100)
  const waits: number[] = []
  let now = 0
  for (let offence = 0; offence < 16; offence++) {
    kept.offended('eve', now)
    const wait = kept.wait('eve', now)
    waits.push(wait)
    now += wait
  }
  expect(waits.slice(0, 4)).toEqual([0, 1_000, 2_000, 4_000])
  expect(waits.at(-1)).toBe(3_600_000)
  expect(kept.wait('bob', now)).toBe(0)
  now += 16 * 500_000
  kept.offended('eve', now)
  expect(kept.wait('eve', now)).toBe(0)
})

test('a million offenders take the room of the most that are kept', () => {
  const kept = new KeptOut({ burst: 5, perSecond: 0.02 }, 300_000, 1_000)
  for (let key = 0; key < 1_000_000; key++) kept.offended(`${key}`, key)
  expect(kept.size).toBe(1_000)
})

test('an owner is one user by any number of channels; anonymous ones are one by their address', () => {
  expect(userOf({ owner: 'ada', address: '192.0.2.1' })).toBe('ada')
  expect(userOf({ owner: 'anonymous:1', address: '192.0.2.1' })).toBe('192.0.2.1')
  expect(userOf({ owner: undefined, address: '192.0.2.1' })).toBe('192.0.2.1')
  expect(userOf({ owner: 'anonymous:1', address: undefined })).toBe('anonymous:1')
})

const rates = {
  commitsPerUser: { burst: 10, perSecond: 0 },
  bytesPerUser: { burst: 1_000, perSecond: 0 },
  repositoriesPerUser: { burst: 2, perSecond: 0 },
}

const of = (bytes: number, commits = 1) => ({ commits, bytes })

test('a forged name costs its bearer nothing; the bearer pays, and an author carried by others too', () => {
  const quota = new Quota(rates, () => 0)
  const eve = quota.gate(() => ({ owner: 'eve', address: undefined }))
  const ada = quota.gate(() => ({ owner: 'ada', address: undefined }))
  const bob = quota.gate(() => ({ owner: 'bob', address: undefined }))
  for (let forged = 0; forged < 10; forged++) expect(eve.bring('ada', of(1), false)).toBeUndefined()
  expect(eve.bring('ada', of(1), false)?.code).toBe('TooFast')
  for (let own = 0; own < 10; own++) {
    expect(ada.bring('ada', of(1), false)).toBeUndefined()
    ada.signed('ada', of(1))
  }
  expect(ada.bring('ada', of(1), false)?.code).toBe('TooFast')
  expect(bob.bring('ada', of(1), false)?.code).toBe('TooFast')
  for (let carried = 0; carried < 10; carried++) {
    expect(bob.bring('carol', of(1), false)).toBeUndefined()
    bob.signed('carol', of(1))
  }
  expect(quota.gate(() => ({ owner: 'dan', address: undefined })).bring('carol', of(1), false)?.code).toBe('TooFast')
})

test('a run is let through whole or not at all, and costs what its commits cost', () => {
  const time = { now: 0 }
  const quota = new Quota({ commitsPerUser: { burst: 10, perSecond: 1 } }, () => time.now)
  const ada = quota.gate(() => ({ owner: 'ada', address: undefined }))
  expect(ada.bring('ada', of(1, 8), false)).toBeUndefined()
  expect(ada.bring('ada', of(1, 3), false)?.code).toBe('TooFast')
  time.now = 10_000
  // More than the burst: by a full bucket, and the rate holds all the same.
  expect(ada.bring('ada', of(1, 64), false)).toBeUndefined()
  time.now = 60_000
  expect(ada.bring('ada', of(1), false)?.code).toBe('TooFast')
  time.now = 10_000 + 64_000
  expect(ada.bring('ada', of(1), false)).toBeUndefined()
})

test('bytes and repositories have rates of their own, and what is refused takes nothing', () => {
  const quota = new Quota(rates, () => 0)
  const ada = quota.gate(() => ({ owner: 'ada', address: undefined }))
  expect(ada.bring('ada', of(900), true)).toBeUndefined()
  for (let large = 0; large < 20; large++) expect(ada.bring('ada', of(200), true)?.code).toBe('TooFast')
  expect(ada.bring('ada', of(50), true)).toBeUndefined()
  expect(ada.bring('ada', of(1), true)?.code).toBe('TooManyRepositories')
  expect(ada.bring('ada', of(51), false)?.code).toBe('TooFast')
  expect(ada.bring('ada', of(50), false)).toBeUndefined()
})

test('bytes that wait on all channels of an address have one room', () => {
  const quota = new Quota({}, () => 0)
  let held = 0
  while (quota.holds('192.0.2.1', 1 << 20)) held++
  expect(held).toBe(256)
  expect(quota.holds('192.0.2.2', 1 << 20)).toBe(true)
  quota.releases('192.0.2.1', 1 << 20)
  expect(quota.holds('192.0.2.1', 1 << 20)).toBe(true)
})
