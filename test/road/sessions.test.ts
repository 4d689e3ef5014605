/** The sessions of an account: who tells of them, what is kept, and what two certificates with one number come to. */
import { audit, type Database, isRefusal, limits, proveFork } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { decodeFrame, encodeFrame } from '../../packages/engine/src/replica/wire.ts'
import { type CertificateBody, readCertificate } from '../../packages/engine/src/trust/certificate.ts'
import { hash } from '../attacks/target.ts'
import { memoryPair } from '../sim/memory-transport.ts'
import { Accounts, byWord } from './accounts.ts'
import { outcomeOf, type Replica } from './lab.ts'
import { sourceOf } from './store.ts'

const shown = ({ sessions }: Database) => sessions.map((one) => [one.number, one.this ? 'this' : one.name])
const codes = ({ incidents }: Replica): string[] => incidents.map(({ code }) => code)

/** Ada and Bob, who will meet; the server is away, and somebody who poses as Ada is with Bob. */
const posed = async (seed: string, change: Partial<CertificateBody> = {}) => {
  const town = await Accounts.open(seed)
  const [phantom, friends] = [memoryPair(), memoryPair()]
  const ada = await town.enter('ada', 'ada', [friends.b])
  const bob = await town.enter('bob', 'bob', [friends.a, phantom.b])
  for (const line of town.lines.values()) line.disconnect()
  const speaker = await town.pose(change)
  const spoken = await town.speak(speaker, phantom)
  return { town, ada, bob, speaker, spoken, friends }
}

describe('the sessions of an account', () => {
  test('[C10] are told by the server to all of them at once, and are there after a restart', async () => {
    const town = await Accounts.open('devices')
    const phone = await town.enter('phone', 'ada')
    expect(shown(phone.database)).toEqual([[1, 'this']])
    const statuses = phone.statuses.length
    const laptop = await town.enter('laptop', 'ada')
    await town.enter('other', 'bob')
    expect(shown(phone.database)).toEqual([
      [1, 'this'],
      [2, 'ada'],
    ])
    expect(shown(laptop.database)).toEqual([
      [1, 'ada'],
      [2, 'this'],
    ])
    expect(phone.statuses.length).toBeGreaterThan(statuses)
    expect(town.authority.database.sessions).toEqual([])
    await town.close(phone)
    const again = await town.lab.start('phone')
    expect(shown(again.database)).toEqual(shown(phone.database))
    expect([codes(phone), codes(laptop), codes(town.authority)]).toEqual([[], [], []])
  })

  test('end when their owner ends them, and go with a logout', async () => {
    const town = await Accounts.open('ended')
    const phone = await town.enter('phone', 'ada')
    await town.enter('laptop', 'ada')
    const [, other] = phone.database.sessions
    const ended = outcomeOf(phone.database.revoke({ session: other?.session ?? '' }))
    await town.lab.until(() => ended.current !== 'pending')
    expect(ended.current).toBe('resolved')
    expect(phone.database.sessions.map((one) => one.ended)).toEqual([false, true])
    const out = outcomeOf(phone.database.logout())
    await town.lab.until(() => out.current === 'resolved')
    expect(phone.database.sessions).toEqual([])
    await town.close(phone)
    expect((await town.lab.start('phone')).database.sessions).toEqual([])
  })

  test('[C10] that somebody with the authority’s key made are seen by their owner, when two honest replicas meet', async () => {
    const { town, ada, bob, speaker, friends } = await posed('phantom')
    expect(bob.database.certificates.get(speaker.certificate.session)?.id).toBe(speaker.certificate.id)
    expect(shown(ada.database)).toEqual([[1, 'this']])
    friends.connect()
    await town.lab.run(1_000)
    expect(shown(ada.database)).toEqual([
      [1, 'this'],
      [2, 'ada'],
    ])
    expect(ada.database.sessions[1]?.session).toBe(speaker.certificate.session)
    expect(bob.database.sessions).toHaveLength(1)
    await town.close(ada)
    expect(shown((await town.lab.start('ada')).database)).toHaveLength(2)
    expect([codes(ada), codes(bob)]).toEqual([[], []])
  })

  test('[C10] are told while two are connected, to their own account alone', async () => {
    const town = await Accounts.open('live')
    const [phantom, friends] = [memoryPair(), memoryPair()]
    const ada = await town.enter('ada', 'ada', [friends.b])
    const bob = await town.enter('bob', 'bob', [friends.a, phantom.b])
    friends.connect()
    await town.lab.run(100)
    const spoken = await town.speak(await town.pose(), phantom)
    expect(shown(ada.database)).toHaveLength(2)
    // Whoever poses as Ada learns of Ada's sessions, and of nobody else's.
    const told = spoken.heard.flatMap((frame) => (frame.kind === 'witness' ? frame.certificates : []))
    expect(told.map((bytes) => readCertificate(bytes, hash))).toMatchObject([{ owner: 'word:ada', number: 1 }])
    expect(shown(bob.database)).toHaveLength(1)
  })

  test('[C10] of another account, or by another key, are an offence to tell of', async () => {
    for (const wrong of ['account', 'key'] as const) {
      const town = await Accounts.open(`offence ${wrong}`)
      const line = memoryPair()
      const bob = await town.enter('bob', 'bob', [line.b])
      const right = await town.pose({ owner: 'word:bob' })
      const bad = wrong === 'account' ? await town.pose() : await town.pose({ owner: 'word:bob' }, town.lab.key('eve'))
      const eve = await town.pose({ owner: 'word:eve', number: 1 })
      const spoken = await town.speak(eve, line)
      spoken.send({ kind: 'witness', certificates: [bad.certificate.bytes] })
      await town.lab.run(100)
      expect(spoken.heard.map((frame) => (frame.kind === 'refused' ? frame.code : ''))).toContain('BadCertificate')
      expect(shown(bob.database)).toHaveLength(1)
      spoken.send({ kind: 'witness', certificates: [right.certificate.bytes] })
      await town.lab.run(100)
      expect(shown(bob.database)).toHaveLength(2)
    }
  })

  test('certificatesTold: not more at once, the newest first', async () => {
    const certificates = Array.from({ length: limits.certificatesTold + 1 }, () => new Uint8Array(1))
    const frame = (count: number) =>
      decodeFrame(encodeFrame(0, { kind: 'witness', certificates: certificates.slice(0, count) }), 0)
    expect(frame(limits.certificatesTold)).toMatchObject({ kind: 'witness' })
    expect(frame(limits.certificatesTold + 1)).toMatchObject({ code: 'Malformed' })
    const town = await Accounts.open('many')
    await town.enter('ada', 'ada')
    for (let number = 2; number < limits.certificatesTold + 10; number++)
      town.authority.database.certificates.keep(
        (await town.pose({ number, publicKey: town.lab.key(`key ${number}`).publicKey })).certificate,
      )
    const spoken = await town.speak(await town.pose({ number: 1_000 }), town.lab.line())
    const told = spoken.heard.flatMap((heard) => (heard.kind === 'witness' ? heard.certificates : []))
    expect(told).toHaveLength(limits.certificatesTold)
    expect(readCertificate(told[0] ?? new Uint8Array(0), hash)).toMatchObject({ number: limits.certificatesTold + 9 })
  })
})

describe('[H9] two certificates of an account with one number', () => {
  test('are evidence that a replica keeps and tells of as it does of forked logs', async () => {
    const { town, ada, bob, speaker, friends } = await posed('twice', { number: 1 })
    friends.connect()
    await town.lab.run(1_000)
    const [kept] = await ada.database.evidence()
    expect(ada.incidents).toMatchObject([{ code: 'EvidenceKept', about: kept?.name, repository: '/sys' }])
    const proved = await proveFork(kept?.bytes ?? new Uint8Array(0), town.lab.runtime('judge'))
    const ids = [speaker.certificate, ada.database.person].map((one) => one?.id)
    expect(proved).toMatchObject({ fork: { kind: 'certificate', first: { number: 1 }, second: { owner: 'word:ada' } } })
    expect(!isRefusal(proved) && [proved.fork.first.id, proved.fork.second.id]).toEqual(ids.sort())
    // Bob met Ada's own one as she proved herself to him: he is a witness as good as she is.
    expect((await bob.database.evidence()).map(({ name }) => name)).toEqual([kept?.name])
    await town.close(ada)
    const again = await town.lab.start('ada')
    expect([codes(again), (await again.database.evidence()).length]).toEqual([[], 1])
    const report = await audit(sourceOf(await filesOf(town, 'ada')), { runtime: town.lab.runtime('auditor') })
    expect(report.problems.map(({ code }) => code)).toEqual(['NumberTwice'])
  })

  test('are made by no authority, whatever it survived: it goes on behind the highest number it gave', async () => {
    const town = await Accounts.open('counting')
    for (const device of ['one', 'two']) await town.enter(device, 'ada')
    const before = await town.enter('three', 'ada')
    await town.close(town.authority)
    const authority = await town.lab.authority({ logins: [byWord] })
    const after = await town.enter('four', 'ada')
    expect(shown(after.database)).toEqual([
      [1, 'ada'],
      [2, 'ada'],
      [3, 'ada'],
      [4, 'this'],
    ])
    expect([codes(before), codes(after), codes(authority)]).toEqual([[], [], []])
    expect(await authority.database.evidence()).toEqual([])
  })
})

const filesOf = async ({ lab }: Accounts, name: string): Promise<ReadonlyMap<string, Uint8Array>> => {
  const files = lab.device(name).disk.files()
  const held = new Map<string, Uint8Array>()
  for (const file of await files.list()) {
    const open = await files.open(file, false)
    held.set(file, (await open?.read(0, (await open?.size()) ?? 0)) ?? new Uint8Array(0))
    await open?.close()
  }
  return held
}
