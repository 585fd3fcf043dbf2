// Holds SBOMs in CycloneDX against the validator of the project's JavaScript library. Prints what is wrong.
const fs = require('fs')
const path = require('path')
const modules = path.resolve(process.argv[2])
const { Spec, Validation } = require(path.join(modules, '@cyclonedx/cyclonedx-library'))

async function main () {
  let mistakes = 0
  for (const file of process.argv.slice(3)) {
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6)
    const errors = await validator.validate(fs.readFileSync(file, 'utf8'))
    if (errors !== null) {
      mistakes += 1
      console.log(file, JSON.stringify(errors).slice(0, 2000))
    }
  }
  process.exit(mistakes === 0 ? 0 : 1)
}
main().catch(error => { console.log(String(error)); process.exit(2) })
