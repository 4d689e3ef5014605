/**
 * Applies unified diffs, strictly: the lines that a hunk removes and its context must stand in the file exactly once, or the patch is stale
 * and that is an error. Line numbers are not looked at, so that a change elsewhere in the file makes no patch stale.
 */
export interface FilePatch {
  readonly path: string
  readonly hunks: readonly { readonly before: string; readonly after: string }[]
}

export interface Patch {
  /** Lines before the first file, `key: value`. */
  readonly head: Readonly<Record<string, string>>
  readonly files: readonly FilePatch[]
}

export const readPatch = (text: string): Patch => {
  const head: Record<string, string> = {}
  const files: { path: string; hunks: { before: string; after: string }[] }[] = []
  for (const line of text.split('\n')) {
    const file = files.at(-1)
    const hunk = file?.hunks.at(-1)
    const entry = /^([a-z]+): (.*)$/.exec(line)
    if (line.startsWith('--- ')) files.push({ path: '', hunks: [] })
    else if (file !== undefined && line.startsWith('+++ '))
      file.path = line.slice(4).replace(/^b\//, '').split('\t')[0] ?? ''
    else if (file !== undefined && line.startsWith('@@ ')) file.hunks.push({ before: '', after: '' })
    else if (hunk !== undefined && (line.startsWith(' ') || line.startsWith('-') || line.startsWith('+'))) {
      if (!line.startsWith('+')) hunk.before += `${line.slice(1)}\n`
      if (!line.startsWith('-')) hunk.after += `${line.slice(1)}\n`
    } else if (file === undefined && entry?.[1] !== undefined && entry[2] !== undefined) head[entry[1]] = entry[2]
    else if (line !== '') throw new Error(`not a line of a patch: ${line}`)
  }
  return { head, files }
}

/** The text of a file after its patch. Throws when the patch is stale. */
export const applyPatch = (text: string, { path, hunks }: FilePatch): string => {
  let patched = text
  for (const { before, after } of hunks) {
    const places = patched.split(before).length - 1
    if (places !== 1) throw new Error(`stale patch: in ${path} these lines stand ${places} times:\n${before}`)
    patched = patched.replace(before, () => after)
  }
  return patched
}
