/** The app of the simulated worlds: one schema with a field of every type, a rule that some may not write, and a login without a password. */
import { hash } from 'node:crypto'
import {
  boolean,
  type Credentials,
  date,
  type Login,
  map,
  number,
  order,
  type Rule,
  read,
  refusal,
  schema,
  set,
  string,
  text,
  write,
} from '@weft-db/engine'

export const Card = schema('card', 1, {
  title: string({ max: 200 }),
  done: boolean(),
  points: number({ integer: true }),
  due: date(),
  tags: set(string()),
  votes: map(number()),
  notes: text(),
  place: order(),
})

export const boardPath = '/board/one'

/** The file of the board's log. */
export const boardLog = `${hash('sha256', boardPath)}.log`

const readable = read('/board/:id', ({ session }) => session !== undefined)

/** Guests may read; what they write is signed, stored and forwarded like everything else, and dead. */
export const rules: readonly Rule[] = [
  readable,
  write('/board/:id', ({ owner }) => owner?.startsWith('member:') === true),
]

/** What a guest's own replica goes by: an honest one would put nothing into a commit that the rules deny. */
export const guestRules: readonly Rule[] = [readable, write('/board/:id', () => true)]

export const isGuest = (owner: string): boolean => owner.startsWith('guest:')

/** The name of an account, for both sides. */
export const account = (owner?: string): Login & Credentials => ({
  method: 'account',
  credentials: owner ?? null,
  ...(owner !== undefined && { name: owner }),
  check: async (credentials, session) =>
    typeof credentials === 'string' && credentials !== ''
      ? { owner: `${credentials}:${session}`, name: credentials }
      : refusal('LoginRefused', 'an account is needed'),
})
