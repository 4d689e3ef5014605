/** What the authority writes, and whom a replica believes. */
import { anonymous, type Channel, keyOf, logName, refusal, saved, savedState } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { Authority } from '../../packages/engine/src/replica/authority.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../packages/engine/src/replica/wire.ts'
import { messageOf } from '../../packages/engine/src/trust/signed.ts'
import { memoryPair } from '../sim/memory-transport.ts'
import { board, Card, diskFull, gate, Lab, outcomeOf } from './lab.ts'

const started = async (seed: string) => {
  const lab = new Lab(seed)
  const authority = await lab.authority()
  const ada = await lab.join('ada')
  const repository = ada.database.repository(board)
  await lab.run(100)
  return { lab, authority, ada, repository }
}

const away = (): void => {
  throw new Error('the key is away')
}

describe('checkpoints', () => {
  test('[H2] cover what was stored just before the authority was killed', async () => {
    const { lab, authority, repository } = await started('killed')
    authority.faults.sign = away
    const card = repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    expect(savedState(card)).toBe('local')
    lab.kill('authority')
    authority.faults.sign = undefined
    await lab.run(100)
    const again = await lab.authority()
    lab.connect('ada')
    await lab.run(2_000)
    expect(savedState(card)).toBe('authority')
    expect(again.incidents).toEqual([])
  })

  test('go on when signing works again', async () => {
    const { lab, authority, repository } = await started('signing')
    authority.faults.sign = away
    const card = repository.create(Card, { title: 'x' })
    await lab.run(5_000)
    expect(savedState(card)).toBe('local')
    expect(authority.incidents.map(({ code }) => code)).toContain('SigningFailed')
    authority.faults.sign = undefined
    await lab.run(2_000)
    expect(savedState(card)).toBe('authority')
  })

  test('[S9] a full disk on the authority refuses the commit with the reason; the client keeps it and is told when it is stored', async () => {
    const { lab, authority, ada, repository } = await started('full')
    const card = repository.create(Card, { title: '0' })
    await lab.run(1_000)
    authority.faults.sync = diskFull
    for (let index = 1; index <= 5; index++) {
      card.title = `${index}`
      await lab.run(3_000)
    }
    expect(ada.database.status.unacknowledged).toBe(5)
    expect(ada.database.status.problem?.code).toBe('DiskFull')
    authority.faults.sync = undefined
    await lab.run(120_000)
    expect(ada.database.status).toMatchObject({ unacknowledged: 0, problem: undefined })
    const log = authority.database.repository(board).pipeline.log.entries
    expect(repository.pipeline.log.entries.map(({ id }) => id)).toEqual(log.map(({ id }) => id))
    expect(ada.incidents.map(({ code }) => code)).not.toContain('LogForked')
  })

  test('[H2] one that is not durable at the authority is acknowledged to nobody, there as elsewhere', async () => {
    const { lab, authority, repository } = await started('durable')
    const there = authority.database.repository(board)
    const card = repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    const held = gate()
    // From the signature of the checkpoint on, nothing gets to the disk.
    authority.faults.sign = () => {
      authority.faults.hold = held.promise
    }
    card.title = 'y'
    await lab.run(5_000)
    const [head] = there.pipeline.commits.heads()
    expect(there.pipeline.log.entries.length).toBe(2)
    expect(savedState(card)).toBe('local')
    expect(there.covers(head?.id ?? '')).toBe(false)
    authority.faults.hold = undefined
    held.open()
    await lab.run(1_000)
    expect(savedState(card)).toBe('authority')
    expect(there.covers(head?.id ?? '')).toBe(true)
  })
})

describe('a network', () => {
  test('is not founded anew over a damaged root log', async () => {
    const { lab, authority, repository } = await started('damaged')
    repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    const closing = authority.database.close()
    await lab.run(10)
    await closing
    const file = await lab.device('authority').disk.files().open(logName('/sys', authority.database.runtime), false)
    const { frames } = scan((await file?.read(0, 65_536)) ?? new Uint8Array(0))
    const genesis = frames.findIndex(({ kind }) => kind === frameKinds.entry)
    // A whole frame behind the damage, Ada's certificate: it is no torn tail.
    expect(frames.slice(genesis).map(({ kind }) => kind)).toEqual([frameKinds.entry, frameKinds.met])
    await file?.write((frames[genesis]?.end ?? 0) - 60, new Uint8Array([1, 2, 3, 4]))
    const again = await lab.authority()
    const opened = outcomeOf(again.database.opened)
    await lab.run(10)
    expect(opened.current).toBe('LogCorrupt')
    expect(again.database.network).toBeUndefined()
  })

  test.each([0, 1])(
    'is not founded anew over a first entry that cannot be read, with %i other logs',
    async (others) => {
      const lab = new Lab(`unreadable ${others}`)
      const authority = await lab.authority()
      if (others > 0) {
        const ada = await lab.join('ada')
        ada.database.repository(board).create(Card, { title: 'x' })
        await lab.run(1_000)
      }
      const closing = authority.database.close()
      await lab.run(10)
      await closing
      const name = logName('/sys', authority.database.runtime)
      const files = lab.device('authority').disk.files()
      const file = await files.open(name, false)
      // The first entry stands right behind the header: what is damaged at the end of a log looks like a torn tail.
      for (let at = 100, end = (await file?.size()) ?? 0; at < end; at++) await file?.write(at, new Uint8Array([0]))
      const again = await lab.authority()
      const opened = outcomeOf(again.database.opened)
      await lab.run(10)
      expect(opened.current).toBe('LogCorrupt')
    },
  )
})

describe('verdicts', () => {
  test('[V4] [V11] void what no checkpoint covers, for those here and those to come, and are refused for the rest', async () => {
    const { lab, authority, ada, repository } = await started('verdict')
    const { database } = authority
    const there = database.repository(board)
    const incidents: string[] = []
    const writer = new Authority(
      lab.authorityKey,
      database.runtime,
      database.root,
      database.clock,
      database.judging,
      ({ code }) => void incidents.push(code),
    )
    const kept = repository.create(Card, { title: 'kept' })
    await lab.run(1_000)
    authority.faults.sign = away
    const card = repository.create(Card, { title: 'voided' })
    const waiting = outcomeOf(saved(card, 'authority'))
    await lab.run(1_000)
    const verdict = (of: object) => {
      const live = repository.item(Card, keyOf(of))
      if (live == null) throw new Error('not there')
      const commit = [...there.pipeline.commits.heads()].map(({ id }) => there.pipeline.commits.get(id))
      const found = commit
        .concat(commit.map((one) => there.pipeline.commits.get(one?.prev ?? '')))
        .find((one) => one?.changes.some(({ key }) => key === keyOf(of)))
      return {
        kind: 'verdict',
        commit: found?.id ?? '',
        key: keyOf(of),
        code: 'Voided',
        rule: 'a rule',
        reason: 'a reason',
      } as const
    }
    expect(await writer.void(there, verdict(kept))).toEqual(refusal('Receipted', verdict(kept).commit))
    void writer.void(there, verdict(card))
    await lab.run(1_000)
    expect(repository.item(Card, keyOf(card))).toBeNull()
    expect(waiting.current).toBe('Voided')
    authority.faults.sign = undefined
    await lab.run(3_000)
    expect(ada.database.status.unacknowledged).toBe(0)
    const bob = await lab.join('bob')
    const late = bob.database.repository(board)
    await lab.run(1_000)
    expect(late.query(Card).current?.map(({ title }) => title)).toEqual(['kept'])
    expect(there.query(Card).current?.map(({ title }) => title)).toEqual(['kept'])
    const closing = ada.database.close()
    await lab.run(10)
    await closing
    const again = await lab.start('ada')
    const opened = again.database.repository(board)
    await lab.run(10)
    expect(opened.query(Card).current?.map(({ title }) => title)).toEqual(['kept'])
  })
})

/** The accepting end of a channel, spoken by hand. */
class Impostor {
  readonly heard: Frame[] = []
  channel: Channel | undefined
  #sent = 0
  #received = 0
  /** How it was greeted, as it came over the channel. */
  #greeted = new Uint8Array(0)
  readonly #lab: Lab
  readonly #runtime
  readonly #nonce: Uint8Array
  readonly key

  constructor(lab: Lab) {
    this.#lab = lab
    this.#runtime = lab.runtime('impostor')
    this.#nonce = this.#runtime.random(32)
    this.key = lab.key('impostor')
  }

  accept(channel: Channel): void {
    this.channel = channel
    channel.listen({
      message: (bytes) => {
        const frame = decodeFrame(bytes, this.#received++)
        if (this.heard.length === 0) this.#greeted = new Uint8Array(bytes)
        if ('kind' in frame) this.heard.push(frame)
      },
      drain: () => undefined,
      closed: () => undefined,
    })
  }

  send(frame: Frame): Uint8Array {
    const bytes = encodeFrame(this.#sent++, frame)
    this.channel?.send(bytes)
    return bytes
  }

  async prove(network: string | null, root: readonly Uint8Array[]): Promise<void> {
    const time = this.#runtime.now() + 86_400_000
    const greeting = this.send({ kind: 'greet', network, nonce: this.#nonce, time, root: root.length })
    await this.#lab.run(1)
    const message = messageOf(
      'proof',
      encode([this.key.publicKey, ...[this.#greeted, greeting].map(this.#runtime.hash), false, new Uint8Array(0)]),
      this.#runtime.hash,
    )
    this.send({
      kind: 'prove',
      publicKey: this.key.publicKey,
      certificate: null,
      signature: await this.key.sign(message),
      root,
    })
    await this.#lab.run(1)
  }
}

describe('whom a replica believes', () => {
  test('[C3] on first use the authority itself, and nobody who only carries its log', async () => {
    const { lab, authority } = await started('first use')
    const pair = memoryPair()
    const impostor = new Impostor(lab)
    pair.b.start((channel) => impostor.accept(channel))
    const eve = await lab.start('eve', { transports: [pair.a] })
    pair.connect()
    await impostor.prove(authority.database.network ?? null, authority.database.root.after(0))
    expect(eve.database.network).toBeUndefined()
    expect(eve.incidents.map(({ code }) => code)).toContain('NotAuthority')
    const trusting = await lab.start('named', { network: authority.database.network ?? '', transports: [] })
    expect(trusting.database.network).toBeUndefined()
  })

  test('the authority alone sets the clock, refuses a login and certifies', async () => {
    const { lab, authority, ada } = await started('impostor')
    const certificate = ada.database.certificates.get(ada.database.session?.id ?? '')
    const closing = ada.database.close()
    await lab.run(10)
    await closing
    const pair = memoryPair()
    const impostor = new Impostor(lab)
    pair.b.start((channel) => impostor.accept(channel))
    const again = await lab.start('ada', { transports: [pair.a] })
    pair.connect()
    await impostor.prove(authority.database.network ?? null, [])
    const login = outcomeOf(again.database.login(anonymous('Ada again')))
    await lab.run(10)
    impostor.send({ kind: 'refused', code: 'LoginRefused', about: 'go away' })
    if (certificate !== undefined) impostor.send({ kind: 'certified', certificate: certificate.bytes })
    await lab.run(10)
    expect(login.current).toBe('pending')
    expect(again.database.status.problem).toBeUndefined()
    expect(again.database.status.connection).not.toBe('online')
    expect(Math.abs(again.database.clock.now() - again.database.runtime.now())).toBeLessThan(1_000)
    expect(impostor.heard.map(({ kind }) => kind)).not.toContain('login')
  })

  test('[C3] another network is refused on both sides, and nothing of it is kept', async () => {
    const { lab, ada } = await started('another')
    const pair = memoryPair()
    const impostor = new Impostor(lab)
    pair.b.start((channel) => impostor.accept(channel))
    const closing = ada.database.close()
    await lab.run(10)
    await closing
    const again = await lab.start('ada', { transports: [pair.a] })
    const network = again.database.network
    pair.connect()
    await impostor.prove('ab'.repeat(32), []).catch(() => undefined)
    expect(again.database.network).toBe(network)
    expect(again.incidents.map(({ code }) => code)).toContain('WrongNetwork')
  })

  test('who sends much before anything is proved is closed', async () => {
    const { lab, authority } = await started('much')
    authority.faults.sign = () => new Promise(() => undefined)
    const { channel, state } = lab.dial()
    channel.send(encodeFrame(0, { kind: 'greet', network: null, nonce: new Uint8Array(32), time: 0, root: 0 }))
    for (let number = 1; number <= 3; number++) {
      channel.send(encodeFrame(number, { kind: 'login', method: 'anonymous', credentials: new Uint8Array(900_000) }))
    }
    await lab.run(10)
    expect(state.closed).toBeDefined()
    expect(authority.incidents.map(({ code }) => code)).toContain('TooMany')
  })

  test('who never proves who it is may not stay, however often it beats', async () => {
    const { lab } = await started('beats')
    const { channel, state } = lab.dial()
    for (let number = 0; number < 8; number++) {
      channel.send(encodeFrame(number, { kind: 'beat' }))
      await lab.run(10_000)
    }
    expect(state.closed).toBeDefined()
  })
})

describe('logging in', () => {
  test('a judgement that never comes is a refusal, and holds up nothing', async () => {
    const lab = new Lab('never')
    await lab.authority({
      logins: [{ method: 'never', check: () => new Promise(() => undefined) }, anonymous()],
    })
    const ada = await lab.join('ada')
    const login = outcomeOf(ada.database.login({ method: 'never', credentials: null }))
    const repository = ada.database.repository(board)
    await lab.run(1_000)
    const card = repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    expect([login.current, savedState(card)]).toEqual(['pending', 'authority'])
    await lab.run(60_000)
    expect(login.current).toBe('LoginRefused')
  })

  test('offline: edits before the network is known are kept, and stored and sent when it is', async () => {
    const lab = new Lab('offline')
    const pair = lab.line()
    const ada = await lab.start('ada', { transports: [pair.a] })
    const repository = ada.database.repository(board)
    const card = repository.create(Card, { title: 'early', notes: 'a' })
    const login = outcomeOf(ada.database.login(anonymous('Ada')))
    await lab.run(5_000)
    card.notes.insert(1, 'b')
    expect(ada.database.status).toMatchObject({ connection: 'offline', unsaved: 1 })
    expect(repository.item(Card, keyOf(card))).toBe(card)
    await lab.authority()
    pair.connect()
    await lab.run(2_000)
    expect([login.current, savedState(card), card.notes.toString()]).toEqual(['resolved', 'authority', 'ab'])
    expect(ada.database.status).toMatchObject({ unsaved: 0, unacknowledged: 0 })
  })

  test('again after the certificate expired, on the channel that is there', async () => {
    const { lab, ada, repository } = await started('expired')
    await lab.run(1_000)
    lab.disconnect('ada')
    await lab.run(31 * 86_400_000)
    lab.connect('ada')
    await lab.run(1_000)
    const card = repository.create(Card, { title: 'late' })
    await lab.run(1_000)
    expect(savedState(card)).toBe('local')
    expect(ada.database.status.problem?.code).toBeDefined()
    const login = outcomeOf(ada.database.login(anonymous('Ada')))
    await lab.run(5_000)
    expect([login.current, savedState(card)]).toEqual(['resolved', 'authority'])
    expect(ada.database.status.problem).toBeUndefined()
  })

  test('on a full disk it holds for this run, and says that it is not stored', async () => {
    const { ada, lab } = await started('login on a full disk')
    ada.faults.sync = diskFull
    const login = outcomeOf(ada.database.login(anonymous('Ada')))
    await lab.run(1_000)
    expect(login.current).toBe('resolved')
    expect(ada.incidents.map(({ code }) => code)).toContain('DiskFull')
  })
})

describe('a peer that does not read', () => {
  test('costs bounded memory, and gets everything when it reads again', async () => {
    const { lab, repository } = await started('slow')
    const bob = await lab.join('bob')
    const there = bob.database.repository(board)
    await lab.run(1_000)
    lab.pair('bob').hold()
    for (let index = 0; index < 16; index++) {
      repository.create(Card, { title: `${index}`, about: 'x'.repeat(60_000), notes: 'y'.repeat(500_000) })
      await lab.run(1_000)
    }
    await lab.run(20_000)
    lab.pair('bob').release()
    lab.connect('bob')
    await lab.until(
      () =>
        there.query(Card).current?.length === 16 &&
        there.query(Card).current?.every(({ notes }) => notes.length === 500_000) === true,
    )
  }, 30_000)
})
