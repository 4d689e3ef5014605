/**
 * Peers are packages that nobody but the bench needs, so they may be absent. What is used of one is described where it is used: the type
 * checker runs where none of them is installed.
 */

const told = new Set<string>()

/** The package, or undefined after one line about why it is left out. */
export const peer = async <Module>(name: string): Promise<Module | undefined> => {
  try {
    const module: Module & { default?: Module } = await import(name)
    // What CommonJS exports stands under `default`, and sometimes nowhere else.
    return { ...module.default, ...module }
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    if (!told.has(name)) console.error(`${name} is left out: ${reason}`)
    told.add(name)
    return undefined
  }
}
