/** The files of the repository as they stand on the disk, whether or not they are committed. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Source } from './source.ts'

const skipped = new Set(['node_modules', 'dist', '.git', '.weft', 'output'])
const text = /\.(ts|mts|js|mjs|svelte|css|html|md|json|ya?ml|sh|patch|txt|svg)$/
const plain = new Set(['LICENSE', '.gitignore', '.gitattributes', '.editorconfig', '.npmrc', 'run', 'Dockerfile'])

export const readTree = (): Source[] => {
  const top = fileURLToPath(new URL('../..', import.meta.url))
  const sources: Source[] = []
  const walk = (folder: string) => {
    for (const entry of readdirSync(top + folder, { withFileTypes: true })) {
      const path = folder + entry.name
      if (entry.isDirectory() && !skipped.has(entry.name)) walk(`${path}/`)
      else if (entry.isFile() && (text.test(path) || plain.has(entry.name))) {
        sources.push({ path, text: readFileSync(top + path, 'utf8') })
      }
    }
  }
  walk('')
  return sources
}
