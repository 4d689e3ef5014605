/**
 * Rules: who may read a repository, found one, write in it, give roles, erase. The same functions run on every replica, so a rule may look
 * at nothing but its argument: no clock, no store, no network. Nobody may what no rule allows. Paths match by template (`/board/:id`),
 * never by regular expression.
 */
import { type Code, type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import type { Values } from '../merge/values.ts'

/** Names, where others name a rule, what voids a clock that is far ahead of the time. */
export const clockRule = 'clock'

/** Whom a rule judges. Everything but `params` is undefined for somebody who has no certificate. */
export interface Who {
  readonly session: string | undefined
  /** The account, as the login named it. */
  readonly owner: string | undefined
  /** The owner's role in the repository, as its authority log has it at the position in question. */
  readonly role: string | undefined
  /** What the template's `:parts` are in this path. */
  readonly params: Readonly<Record<string, string>>
}

/** One change of one item, before anything of it counts. */
export interface Writing extends Who {
  readonly item: { readonly schema: string; readonly key: string }
  /** The fields that it edits; none when it creates, deletes or restores the item as it is. */
  readonly fields: readonly string[]
  /** The merge of what its author built on; null when the item was not there. */
  readonly before: Values | null
  /** The same with the change; null when that deletes the item. */
  readonly after: Values | null
}

export interface Granting extends Who {
  readonly subject: { readonly owner: string; readonly role: string | undefined }
  /** The role to give, null to take it away. */
  readonly give: string | null
}

/** True allows. A string denies and says why, to a person; everything else denies. */
export type Answer = boolean | string

interface Kinds {
  readonly read: { readonly input: Who; readonly output: Answer }
  readonly create: { readonly input: Who; readonly output: string | undefined }
  readonly write: { readonly input: Writing; readonly output: Answer }
  readonly grant: { readonly input: Granting; readonly output: Answer }
  readonly erase: { readonly input: Who; readonly output: Answer }
}

export type RuleKind = keyof Kinds

type RuleOf<Kind extends RuleKind> = {
  readonly kind: Kind
  readonly template: string
  readonly judge: (input: Kinds[Kind]['input']) => Kinds[Kind]['output']
}

export type Rule = { readonly [Kind in RuleKind]: RuleOf<Kind> }[RuleKind]

/** What an app gives: one set of rules, or one for each version that ever was in force. */
export type Rules = readonly Rule[] | { readonly [version: number]: readonly Rule[] }

const checkTemplate = (template: string): string => {
  if (!/^(?:\/(?::?[\w.-]+))+$/.test(template)) throw new WeftError('BadPath', template)
  const names = template.split('/').filter((part) => part.startsWith(':'))
  if (new Set(names).size < names.length) throw new WeftError('BadPath', `${template} names a part twice`)
  return template
}

/** Who may read the repositories whose path fits the template. */
export const read = (template: string, judge: RuleOf<'read'>['judge']): Rule => ({
  kind: 'read',
  template: checkTemplate(template),
  judge,
})

/**
 * Who founds such a repository, and the role that gives: as long as the authority has written nothing about it, whoever may found it has
 * that role. The authority's first entry makes whoever came first the founder.
 */
export const create = (template: string, judge: RuleOf<'create'>['judge']): Rule => ({
  kind: 'create',
  template: checkTemplate(template),
  judge,
})

/** Who may make which change in the repositories whose path fits the template. Asked once for each change of each item. */
export const write = (template: string, judge: RuleOf<'write'>['judge']): Rule => ({
  kind: 'write',
  template: checkTemplate(template),
  judge,
})

/** Who may give which role to whom, take it, and invite. */
export const grant = (template: string, judge: RuleOf<'grant'>['judge']): Rule => ({
  kind: 'grant',
  template: checkTemplate(template),
  judge,
})

/** Who may have content removed for good. */
export const erase = (template: string, judge: RuleOf<'erase'>['judge']): Rule => ({
  kind: 'erase',
  template: checkTemplate(template),
  judge,
})

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

type Params = Readonly<Record<string, string>>

/** For each rule the path that it was asked about last: what is judged in one go is mostly of one repository. */
const matched = new WeakMap<Rule, { readonly path: string; readonly params: Params | undefined }>()

const paramsOf = (rule: Rule, path: string): Params | undefined => {
  const held = matched.get(rule)
  if (held?.path === path) return held.params
  const params = matchPath(rule.template, path)
  matched.set(rule, { path, params: params && Object.freeze(params) })
  return params
}

/** The rules of a network that names none: whoever has a certificate reads and writes. */
export const certifiedOnly: readonly Rule[] = [
  read('/:type/:repository', ({ session }) => session !== undefined),
  write('/:type/:repository', ({ session }) => session !== undefined),
]

/** The sets of rules by version; a set without a version is version 0. */
export const versionsOf = (rules: Rules): ReadonlyMap<number, readonly Rule[]> => {
  if (Array.isArray(rules)) return new Map([[0, rules as readonly Rule[]]])
  const versions = new Map<number, readonly Rule[]>()
  for (const [name, set] of Object.entries(rules)) {
    const version = Number(name)
    if (!Number.isInteger(version) || version < 0 || version > 0xffff_ffff)
      throw new WeftError('BadSchema', `rules of version ${name}`)
    versions.set(version, set)
  }
  return versions
}

/** Who is told when a rule does what no rule should. */
export interface RuleFaults {
  report(why: Refusal): void
  /** Asks every rule twice and compares, as development does. */
  readonly twice: boolean
}

/** Why the rules deny, for programs and for people. */
export interface Denial {
  readonly code: Extract<Code, 'NoRule' | 'NotAllowed'>
  /** The template of the rule that denied, undefined when none fits. */
  readonly rule: string | undefined
  /** What the rule said, if it said something. */
  readonly reason: string | undefined
}

type Input<Kind extends RuleKind> = Omit<Kinds[Kind]['input'], 'params'>

const isEdit = (input: object): input is Input<'write'> => 'before' in input

/**
 * A change as one rule is given it: the values before and after are computed when it looks at them. All its properties are its own, and the
 * two getters the same for all: an engine makes a table of each object that has some of its own.
 */
class Edited {
  readonly #input: Input<'write'>
  readonly session: string | undefined
  readonly owner: string | undefined
  readonly role: string | undefined
  readonly params: Params
  readonly item: Writing['item']
  readonly fields: readonly string[]

  constructor(input: Input<'write'>, params: Params) {
    this.#input = input
    this.session = input.session
    this.owner = input.owner
    this.role = input.role
    this.params = params
    this.item = input.item
    this.fields = input.fields
    Object.defineProperty(this, 'before', Edited.#before)
    Object.defineProperty(this, 'after', Edited.#after)
  }

  static readonly #before = {
    enumerable: true,
    get(this: Edited) {
      return this.#input.before
    },
  }

  static readonly #after = {
    enumerable: true,
    get(this: Edited) {
      return this.#input.after
    },
  }
}

/** What one rule is given. */
const withParams = (input: object, params: Params): never => {
  const given = isEdit(input) ? new Edited(input, params) : { ...input, params }
  // The one place where an input of a kind meets the rule of that kind: `kind` was compared.
  return Object.freeze(given) as never
}

const ignore = (): undefined => undefined

const ask = (rule: Rule, input: object, params: Params, faults: RuleFaults): unknown => {
  const once = (): { readonly said: unknown } | { readonly error: unknown } => {
    try {
      return { said: rule.judge(withParams(input, params)) }
    } catch (error) {
      return { error }
    }
  }
  const first = once()
  if (faults.twice) {
    const second = once()
    const same = 'error' in first ? 'error' in second : 'said' in second && Object.is(first.said, second.said)
    if (!same) faults.report(refusal('RuleNotPure', `${rule.kind} ${rule.template}`))
  }
  if ('error' in first) {
    faults.report(refusal('RuleThrew', `${rule.kind} ${rule.template}: ${String(first.error)}`))
    return undefined
  }
  const said = first.said
  if (typeof said === 'object' && said !== null && 'then' in said && typeof said.then === 'function') {
    // Nobody will ever know what it would have said: nothing is allowed by a promise.
    said.then(ignore, ignore)
    faults.report(refusal('RuleThrew', `${rule.kind} ${rule.template}: it answered with a promise`))
    return undefined
  }
  return said
}

/** Default deny: undefined only when a rule of that kind fits the path and allows. A rule that throws denies and is reported. */
export const judgeRules = <Kind extends Exclude<RuleKind, 'create'>>(
  rules: readonly Rule[],
  kind: Kind,
  path: string,
  input: Input<Kind>,
  faults: RuleFaults,
): Denial | undefined => {
  let denied: Denial | undefined
  for (const one of rules) {
    if (one.kind !== kind) continue
    const params = paramsOf(one, path)
    if (params === undefined) continue
    const said = ask(one, input, params, faults)
    if (said === true) return undefined
    const reason = typeof said === 'string' && said !== '' ? said : undefined
    if (denied === undefined || (denied.reason === undefined && reason !== undefined))
      denied = { code: 'NotAllowed', rule: one.template, reason }
  }
  return denied ?? { code: 'NoRule', rule: undefined, reason: undefined }
}

/** The role that founding the repository gives, undefined for who may not, and where founding gives none. */
export const foundersRole = (
  rules: readonly Rule[],
  path: string,
  who: Omit<Who, 'params'>,
  faults: RuleFaults,
): string | undefined => {
  for (const one of rules) {
    if (one.kind !== 'create') continue
    const params = paramsOf(one, path)
    const said = params === undefined ? undefined : ask(one, who, params, faults)
    if (typeof said === 'string' && said !== '') return said
  }
  return undefined
}

/** A repository's path: `/type/name`, two parts of letters, digits and `._-`, not only of dots. `/sys` is the authority's. */
export const isRepositoryPath = (path: string): boolean =>
  path.length <= 200 &&
  /^\/[\w.-]{1,64}\/[\w.-]{1,128}$/.test(path) &&
  !/^\/sys\//.test(path) &&
  !/\/\.+(?:\/|$)/.test(path)
