/** Rows A8 and A9: what a certificate must be, and whom the authority gives one. */
import { anonymous, type Code, type SigningKey, type Storage, type Transport } from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { toHex } from '../../../packages/engine/src/bytes/bytes.ts'
import { decode, encode, type Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { isRefusal } from '../../../packages/engine/src/bytes/refusal.ts'
import { encodeFrame } from '../../../packages/engine/src/replica/wire.ts'
import { messageOf, sealBody } from '../../../packages/engine/src/trust/signed.ts'
import { Lab, outcomeOf } from '../../road/lab.ts'
import { mustHold, type Row } from '../row.ts'
import { hash, type Person, Target } from '../target.ts'

const day = 86_400_000

/** A certificate that is not right, the session that signs under it, and the codes that say so. */
interface Case {
  readonly what: string
  readonly codes: readonly Code[]
  make(target: Target, key: SigningKey): Promise<{ readonly bytes: Uint8Array; readonly session: string }>
}

const changed = (what: string, codes: readonly Code[], change: (target: Target) => object): Case => ({
  what,
  codes,
  make: (target, key) => target.certify(key.publicKey, change(target)),
})

/** The body of a right certificate, changed as a list, signed by the authority. */
const rewritten = (what: string, change: (body: readonly Plain[]) => readonly Plain[]): Case => ({
  what,
  codes: ['Malformed', 'UnknownFormat'],
  async make(target, key) {
    const right = await target.certify(key.publicKey)
    const body = decode(right.body)
    if (isRefusal(body)) throw new Error(body.code)
    const bytes = encode(change(body as readonly Plain[]))
    const signature = await target.authority.sign(messageOf('certificate', bytes, hash))
    return { bytes: sealBody(bytes, signature, hash).bytes, session: right.session }
  },
})

const cases: readonly Case[] = [
  changed('expired', ['CertificateExpired'], ({ time }) => ({ issued: time - 2 * day, expires: time - 1 })),
  changed('not valid yet', ['BadCertificate', 'CertificateExpired', 'ClockAhead'], ({ time }) => ({
    issued: time + day,
    expires: time + 2 * day,
  })),
  changed('of another network', ['BadCertificate'], (target) => ({ network: toHex(target.draws.bytes(32)) })),
  changed('by a key that the root log does not name', ['BadCertificate'], (target) => ({
    signer: toHex(target.draws.bytes(32)),
  })),
  {
    what: 'by another key in the name of the authority',
    codes: ['BadCertificate'],
    make: (target, key) => target.certify(key.publicKey, {}, key),
  },
  {
    what: 'by somebody whom the authority certified',
    codes: ['BadCertificate'],
    async make(target, key) {
      const middle = await target.person()
      await target.offer([], [middle.certificate])
      return target.certify(key.publicKey, { signer: toHex(hash(middle.key.publicKey)) }, middle.key)
    },
  },
  changed('too long a life', ['Malformed'], ({ time }) => ({ expires: time + limits.certificateLife + 1 })),
  changed('ending before it begins', ['Malformed'], ({ time }) => ({ expires: time - 1 })),
  changed('without an owner', ['Malformed'], () => ({ owner: '' })),
  changed('with too long an owner', ['Malformed'], () => ({ owner: 'o'.repeat(limits.nameBytes + 1) })),
  changed('with too long a name', ['Malformed'], () => ({ name: 'n'.repeat(limits.displayName + 1) })),
  rewritten('with a role', (body) => [...body, 'owner']),
  rewritten('with a role in place of the name', (body) => body.with(4, ['owner'])),
  rewritten('of another format', (body) => body.with(0, 2)),
  rewritten('with a key in the short form', (body) => body.with(2, new Uint8Array(33).fill(2))),
  rewritten('with a time that is no number', (body) => body.with(6, String(body[6]))),
]

/** A8: `trials` times the table of wrong certificates, each with a commit under it. */
export const wrong: Row = async ({ trials: times, seed }) => {
  const target = await Target.open(seed)
  let [trials, violations] = [0, 0]
  const through = new Set<string>()
  const fail = (what: string): void => {
    violations++
    through.add(what)
  }
  try {
    for (let time = 0; time < times; time++) {
      for (const { what, codes, make } of cases) {
        const key = target.key()
        const certificate = await make(target, key)
        const person = { key, session: certificate.session }
        const commit = await target.commit(person as Person)
        const before = target.held()
        const refused = await target.offer([commit], [certificate.bytes])
        trials++
        if (target.held() > before || !refused.some((code) => codes.includes(code))) fail(what)
      }
      // One key, two owners: two sessions, and neither signs for the other.
      const key = target.key()
      const [one, two] = [await target.person({ owner: 'a' }, key), await target.person({ owner: 'b' }, key)]
      await target.offer([], [one.certificate])
      const before = target.held()
      await target.offer([await target.commit(two)])
      trials++
      if (one.session === two.session || target.held() > before) fail('one key for two owners')
    }
    const right = await target.person()
    const commit = await target.commit(right)
    await target.offer([commit], [right.certificate])
    mustHold(target.has(commit), 'a right certificate is refused too', violations)
  } finally {
    await target.close()
  }
  return { trials, violations, cases: cases.length + 1, through: [...through].join('; ') }
}

const storageWith = (key: SigningKey): Storage => ({
  files: memoryFiles(),
  keys: { load: async () => key, save: async () => undefined, remove: async () => undefined },
  mode: 'memory',
  lasting: true,
})

/** A9: clients that keep to the protocol but for a key that is not theirs, and proofs of others sent again. */
export const possession: Row = async ({ trials, seed }) => {
  const lab = new Lab(`${seed} possession`)
  const { incidents } = await lab.authority()
  let violations = 0
  // The proof of an honest client, as somebody on the way reads it.
  const line = lab.line()
  const sent: Uint8Array[] = []
  const overheard: Transport = {
    stop: () => line.a.stop(),
    start: (onChannel) =>
      line.a.start((channel) => {
        const send = channel.send.bind(channel)
        channel.send = (bytes) => {
          sent.push(bytes.slice())
          send(bytes)
        }
        onChannel(channel)
      }),
  }
  const honest = await lab.start('honest', { transports: [overheard] })
  line.connect()
  await lab.until(() => honest.database.status.connection === 'online')
  const recorded = sent.slice(0, 2)
  for (let trial = 0; trial < trials; trial++) {
    const victim = lab.key(`victim ${trial}`)
    if (trial % 2 === 0) {
      const thief = lab.key(`thief ${trial}`)
      const key: SigningKey = { publicKey: victim.publicKey, sign: (message) => thief.sign(message) }
      const near = lab.line()
      const client = await lab.start(`thief ${trial}`, { transports: [near.a], storage: async () => storageWith(key) })
      const login = client.database.login(anonymous('Ada'))
      const outcome = outcomeOf(login)
      near.connect()
      await lab.run(100)
      if (outcome.current === 'resolved') violations++
      const closing = client.database.close()
      await lab.run(10)
      await closing
    } else {
      const { channel, received } = lab.dial()
      await lab.run(10)
      for (const bytes of recorded) channel.send(bytes)
      await lab.run(10)
      channel.send(encodeFrame(2, { kind: 'login', method: 'anonymous', credentials: 'Ada' }))
      await lab.run(50)
      if (received.some((bytes) => kindOf(bytes) === certifiedFrame)) violations++
      channel.close('done')
    }
  }
  const outcome = outcomeOf(honest.database.login(anonymous('Honest')))
  await lab.run(1_000)
  mustHold(outcome.current === 'resolved', 'nobody is certified', violations)
  mustHold(
    incidents.some(({ code }) => code === 'BadProof'),
    'no proof was refused',
    violations,
  )
  return { trials, violations }
}

const certifiedFrame = 3
const kindOf = (bytes: Uint8Array): Plain | undefined => {
  const frame = decode(bytes)
  return Array.isArray(frame) ? frame[1] : undefined
}
