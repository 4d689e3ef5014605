/** What the app and its authority agree on: the schemas of a board and who may do what with one. Loaded by both. */
import { boolean, create, grant, order, read, schema, set, string, text, write } from '@weft-db/engine'

export const Column = schema('column', 1, { title: string(), place: order() })

export const Card = schema('card', 1, {
  title: string({ max: 500 }),
  done: boolean(),
  /** Key of the column it stands in. */
  column: string(),
  tags: set(string()),
  notes: text(),
  place: order(),
})

export const schemas = [Column, Card]

/** From the one that may least to the one that may most. */
export const roles = ['viewer', 'editor', 'owner'] as const
export type Role = (typeof roles)[number]

export const isRole = (role: string | null | undefined): role is Role => roles.some((known) => known === role)

const board = '/board/:id'

/**
 * Whoever comes first to a board owns it. Only owners give and take roles, and nobody changes the one they have: whoever put others out is
 * an owner still, so that a board always has one.
 */
export const rules = [
  create(board, ({ session }) => (session === undefined ? undefined : 'owner')),
  read(board, ({ role }) => isRole(role) || 'There is no such board, or you may not see it.'),
  write(board, ({ role }) => {
    if (role === 'owner' || role === 'editor') return true
    return role === 'viewer'
      ? 'You can look at this board, but not change it. Ask its owner to make you an editor.'
      : 'You are not on this board any more. Ask its owner to invite you again.'
  }),
  grant(board, ({ role, owner, subject, give }) => {
    if (role !== 'owner') return 'Only an owner of the board decides who is on it.'
    if (subject.owner === owner) return 'You cannot change your own role. Ask another owner to do it.'
    return give === null || isRole(give) || 'There is no such role.'
  }),
]
