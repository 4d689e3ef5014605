/**
 * Rules: who may read a repository and who may write in it. The same functions run on every replica, so a rule may look at nothing but
 * its argument: no clock, no store, no network. Paths match by template (`/board/:id`), never by regular expression.
 */
import { WeftError } from '../bytes/refusal.ts'

/** Whom a rule judges. `session` is undefined for somebody who has not proved one. */
export interface Who {
  readonly session: string | undefined
  readonly owner: string | undefined
  readonly params: Readonly<Record<string, string>>
}

export interface Rule {
  readonly kind: 'read' | 'write'
  readonly template: string
  readonly allows: (who: Who) => boolean
}

const rule = (kind: Rule['kind'], template: string, allows: Rule['allows']): Rule => {
  if (!/^(?:\/(?::?[\w.-]+))+$/.test(template)) throw new WeftError('BadPath', template)
  const names = template.split('/').filter((part) => part.startsWith(':'))
  if (new Set(names).size < names.length) throw new WeftError('BadPath', `${template} names a part twice`)
  return { kind, template, allows }
}

/** Who may read the repositories whose path fits the template. Without a rule that fits, nobody may. */
export const read = (template: string, allows: Rule['allows']): Rule => rule('read', template, allows)

/** Who may write in the repositories whose path fits the template. Without a rule that fits, nobody may. */
export const write = (template: string, allows: Rule['allows']): Rule => rule('write', template, allows)

/**
 * The parameters of a path under a template, or undefined when it does not fit. They are all that the object has: no prototype lends it a
 * `constructor` that a rule could take for a parameter.
 */
export const matchPath = (template: string, path: string): Record<string, string> | undefined => {
  const [names, parts] = [template.split('/'), path.split('/')]
  if (names.length !== parts.length) return undefined
  const params: Record<string, string> = Object.create(null)
  for (const [index, name] of names.entries()) {
    const part = parts[index] ?? ''
    if (name.startsWith(':') && part === '') return undefined
    if (name.startsWith(':')) params[name.slice(1)] = part
    else if (name !== part) return undefined
  }
  return params
}

/** The rule of a network that names none: whoever has a certificate reads and writes. */
export const certifiedOnly: readonly Rule[] = [
  read('/:type/:repository', ({ session }) => session !== undefined),
  write('/:type/:repository', ({ session }) => session !== undefined),
]

/** Default deny: true only when a rule of that kind fits the path and allows. A rule that throws denies. */
export const isAllowed = (
  rules: readonly Rule[],
  kind: Rule['kind'],
  path: string,
  who: Omit<Who, 'params'>,
  onThrow: (rule: Rule, error: unknown) => void,
): boolean => {
  for (const one of rules) {
    if (one.kind !== kind) continue
    const params = matchPath(one.template, path)
    if (params === undefined) continue
    try {
      if (one.allows({ ...who, params }) === true) return true
    } catch (error) {
      onThrow(one, error)
    }
  }
  return false
}

/** A repository's path: `/type/name`, two parts of letters, digits and `._-`, not only of dots. `/sys` is the authority's. */
export const isRepositoryPath = (path: string): boolean =>
  /^\/[\w.-]{1,64}\/[\w.-]{1,128}$/.test(path) && !/^\/sys\//.test(path) && !/\/\.+(?:\/|$)/.test(path)
