/**
 * Who may do what in the worlds with roles: owners everything, editors what is neither dated nor pointed nor closed, viewers their own vote.
 * The rules look at roles, fields, `before` and `after`, one of them throws, and version 1 is stricter than version 0.
 */
import { type Rule, read } from '@weft-db/engine'
import { create, grant, type Rules, type Writing, write } from '../../../packages/engine/src/trust/rules.ts'

/** What a writing rule looks at. */
export type Asked = Pick<Writing, 'owner' | 'role' | 'fields' | 'before' | 'after'>

/** The key under which a person votes. */
export const ballotOf = (owner: string): string => `v:${owner.slice(0, 24)}`

const votesOf = (values: Writing['before']): Readonly<Record<string, unknown>> =>
  (values?.votes as Readonly<Record<string, unknown>> | undefined) ?? {}

const votesOnce = ({ owner, before, after }: Asked): boolean => {
  const [was, is] = [votesOf(before), votesOf(after)]
  const own = ballotOf(owner ?? '')
  return [...Object.keys(was), ...Object.keys(is)].every((key) => key === own || was[key] === is[key])
}

const guarded = ['points', 'due']

/** Whether the rules of that version allow a change. Throws on a title that no rule was made for. */
export const allows = (version: number, asked: Asked): boolean | string => {
  const { role, fields, before, after } = asked
  if (role === 'owner') return true
  const title = String(before?.title ?? '')
  if (title.startsWith('¡')) throw new RangeError('nobody thought of such a title')
  if (role === 'viewer')
    return before !== null && after !== null && fields.join() === 'votes' && votesOnce(asked) ? true : 'viewers vote'
  if (role !== 'editor') return false
  if (fields.some((field) => guarded.includes(field))) return 'owners plan'
  if (title.startsWith('closed')) return 'it is closed'
  if (version >= 1 && (fields.includes('tags') || after === null)) return 'not any more'
  return true
}

const rulesOf = (version: number): readonly Rule[] => [
  read('/board/:id', ({ role }) => role !== undefined),
  create('/board/:id', ({ owner }) => (owner?.startsWith('founder') === true ? 'owner' : undefined)),
  write('/board/:id', (change) => allows(version, change)),
  grant('/board/:id', ({ role, give }) => role === 'owner' || (role === 'editor' && give === 'viewer')),
]

/** The rules of versions 0 up to the one given. */
export const charter = (newest = 1): Rules =>
  Object.fromEntries(Array.from({ length: newest + 1 }, (_, version) => [version, rulesOf(version)]))

/** The role of whoever founds a board; undefined for who may not. */
export const foundingRole = (owner: string): string | undefined => (owner.startsWith('founder') ? 'owner' : undefined)
