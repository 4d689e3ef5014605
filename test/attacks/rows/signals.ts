/** Row E4: signals that were forged, changed, kept, sent on or sent by strangers, and what they make a member begin. */
import { signalLife } from '../../../packages/engine/src/mesh/signal.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { Company, hall } from '../company.ts'
import { mustHold, type Row } from '../row.ts'
import type { Speaker, Spoken } from '../spoken.ts'

/** Who is about: somebody who may meet the member, somebody else who may, and those who may not. */
interface Cast {
  readonly company: Company
  readonly random: Stream
  readonly friend: Speaker
  readonly other: Speaker
  readonly expired: Speaker
  readonly selfMade: Speaker
  readonly revoked: Speaker
  /** Taken once already. */
  readonly taken: readonly { readonly from: string; readonly bytes: Uint8Array }[]
}

interface Forged {
  /** As the carrier stamps it. */
  readonly from: string
  readonly bytes: Uint8Array
}

const sessionOf = ({ certificate }: Speaker): string => certificate.session

const flip = (bytes: Uint8Array, bit: number): void => {
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
}

const ways: readonly (readonly [string, (cast: Cast) => Promise<Forged>])[] = [
  [
    'altered',
    async ({ company, friend, random }) => {
      const bytes = await company.signal(friend)
      // The certificate behind it is the authority's word, and known to the member.
      flip(bytes, random.int((bytes.length - friend.certificate.bytes.length) * 8))
      return { from: sessionOf(friend), bytes }
    },
  ],
  [
    'taken before, and altered',
    async ({ taken, random }) => {
      const { from, bytes } = random.pick([...taken])
      const changed = bytes.slice()
      flip(changed, random.int(bytes.length * 8))
      return { from, bytes: changed }
    },
  ],
  [
    'signed by somebody else',
    async ({ company, friend, other }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(friend, {}, { signer: other.key }),
    }),
  ],
  [
    'shown with another certificate',
    async ({ company, friend, other }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(other, { from: sessionOf(friend) }),
    }),
  ],
  [
    'stamped with another session',
    async ({ company, friend, other }) => ({ from: sessionOf(other), bytes: await company.signal(friend) }),
  ],
  [
    'for somebody else',
    async ({ company, friend, other }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(friend, { to: sessionOf(other) }),
    }),
  ],
  [
    'of another network',
    async ({ company, friend }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(friend, { network: 'ab'.repeat(32) }),
    }),
  ],
  [
    'late',
    async ({ company, friend, random }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(friend, { expires: company.now - random.int(1_000_000) }),
    }),
  ],
  [
    'good for too long',
    async ({ company, friend, random }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(friend, { expires: company.now + 2 * signalLife + 60_000 + random.int(1_000_000) }),
    }),
  ],
  ['taken before', async ({ taken, random }) => random.pick([...taken])],
  [
    'an answer to nothing',
    async ({ company, friend, random }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(friend, {
        number: 1 + random.int(40),
        content: { kind: 'path', parts: [random.bytes(20)] },
      }),
    }),
  ],
  [
    'of the wrong side',
    async ({ company, friend }) => ({
      from: sessionOf(friend),
      bytes: await company.signal(friend, {
        content:
          sessionOf(friend) < company.session
            ? { kind: 'ask', urgent: true }
            : { kind: 'path', parts: [new Uint8Array(8)] },
      }),
    }),
  ],
  ...(['expired', 'selfMade', 'revoked'] as const).map((who): (typeof ways)[number] => [
    `of a stranger: ${who}`,
    async (cast) => ({ from: sessionOf(cast[who]), bytes: await cast.company.signal(cast[who]) }),
  ]),
  [
    'of nobody',
    async ({ friend, random }) => ({ from: sessionOf(friend), bytes: random.bytes(1 + random.int(2_000)) }),
  ],
]

/** Together, with room for them among those being verified. */
const atOnce = 30
/** An honest one after so many. */
const honestEvery = 600

/**
 * E4: `trials` signals that a hostile neighbour hands the member, stamped as it likes. A violation is an attempt begun, of those that no
 * honest signal asked for; now and then there is one, or the member might have stopped listening.
 */
export const forged: Row = async ({ trials, seed }) => {
  const company = await Company.open(`${seed} E4`)
  const { lab } = company
  const random = stream(seed, 'E4')
  const people = [await company.person(), await company.person(), await company.person(), await company.person()]
  const [neighbour, friend, other, revoked] = people
  if (neighbour === undefined || friend === undefined || other === undefined || revoked === undefined)
    throw new Error('four')
  const expired = await company.person({ issued: company.now - 2_000, expires: company.now - 1_000 })
  const selfMade = await company.person({}, lab.key('another authority'))
  await company.authority.database.revoke({ session: sessionOf(revoked) }, 'a lost phone')
  const server = await company.online(neighbour, [hall])
  const straight = await company.neighbour(neighbour, server)
  const honest = async (): Promise<{ from: string; bytes: Uint8Array }> => {
    const person = await company.person()
    const bytes = await company.signal(person)
    straight.send({ kind: 'signal', session: sessionOf(person), signal: bytes })
    await lab.run(100)
    return { from: sessionOf(person), bytes }
  }
  let [violations, first, tried, taken] = [0, '', 0, 0]
  let kept: { from: string; bytes: Uint8Array }[] = []
  while (tried < trials) {
    if (tried % honestEvery === 0) {
      const before = company.begun
      kept = [await honest(), await honest()]
      taken += company.begun - before
      mustHold(company.begun - before === 2, 'an honest signal begins no attempt', violations)
    }
    const cast: Cast = { company, random, friend, other, expired, selfMade, revoked, taken: kept }
    const before = company.begun
    const tricks: string[] = []
    for (let count = 0; count < atOnce && tried < trials; count++) {
      const [name, forge] = ways[tried++ % ways.length] ?? ways[0] ?? raise()
      const { from, bytes } = await forge(cast)
      tricks.push(name)
      straight.send({ kind: 'signal', session: from, signal: bytes })
    }
    await lab.run(40)
    if (company.begun === before) continue
    violations += company.begun - before
    first ||= (await whichOf(cast, straight)) ?? tricks.join()
  }
  mustHold(straight.closed === undefined, 'the neighbour was put out', violations)
  return { trials: tried, violations, first, honest: taken }
}

const raise = (): never => {
  throw new Error('there is no way')
}

/** The first way that begins an attempt by itself. */
const whichOf = async (cast: Cast, straight: Spoken): Promise<string | undefined> => {
  for (const [name, forge] of ways) {
    const { from, bytes } = await forge(cast)
    const before = cast.company.begun
    straight.send({ kind: 'signal', session: from, signal: bytes })
    await cast.company.lab.run(200)
    if (cast.company.begun > before) return name
  }
  return undefined
}
