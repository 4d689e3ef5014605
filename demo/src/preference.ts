/** Small choices of this browser (a name, a theme, boards seen). Without storage they last as long as the page. */
const inPage = new Map<string, string>()

export const recall = (name: string): string | undefined => {
  try {
    return localStorage.getItem(`weft-demo.${name}`) ?? undefined
  } catch {
    return inPage.get(name)
  }
}

export const remember = (name: string, value: string): void => {
  try {
    localStorage.setItem(`weft-demo.${name}`, value)
  } catch {
    inPage.set(name, value)
  }
}
