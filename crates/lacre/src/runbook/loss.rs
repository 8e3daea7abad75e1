//! What is lost: the server, a key, a holder of the seal.

use super::{Page, facts::Facts, facts::Hand, word};

/// A folder of this machine's own for keys and caches, so that nothing that is here already is touched.
pub(super) const FRESH_HOME: &str = "export LACRE_HOME=\"$PWD/lacre-home\"";

/// Which repository the commands of a block are about.
pub(super) fn repository(place: &str) -> String {
    format!("export LACRE_REPO={}", word(place))
}

/// How a bucket is opened where there is no configuration.
pub(super) fn keys_of_store(place: &str, page: &mut Page) {
    let names = match place.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`",
        Some("b2") => "`B2_APPLICATION_KEY_ID`, `B2_APPLICATION_KEY`",
        _ => return,
    };
    page.item(
        &format!("a key of the bucket that may read, in {names}"),
        &format!("uma chave do bucket que possa ler, em {names}"),
    );
}

/// What opens the backups where nothing is at hand, as a list of what to bring.
pub(super) fn keys(facts: &Facts, (seal, identity): (Hand, Hand), page: &mut Page) {
    if seal == Hand::Elsewhere {
        match (facts.kits.first(), facts.pointers.first(), facts.cells.first()) {
            (Some(kit), ..) => page.item(
                &format!("kit {kit} (the seal's sheet), typed or scanned into the file `kit.txt`"),
                &format!("o kit {kit} (a folha do lacre), digitado ou escaneado para o arquivo `kit.txt`"),
            ),
            (None, Some(kit), _) => page.item(
                &format!("pointer kit {kit}, typed or scanned into the file `kit.txt`"),
                &format!("o kit apontador {kit}, digitado ou escaneado para o arquivo `kit.txt`"),
            ),
            (None, None, Some(cell)) => page.item(
                &format!(
                    "**there is no kit**: the seal cell `{}` (made on {}) must be in its place",
                    cell.place, cell.host
                ),
                &format!(
                    "**não há kit**: a célula do lacre `{}` (feita em {}) precisa estar no lugar",
                    cell.place, cell.host
                ),
            ),
            (None, None, None) => page.item(
                "**nothing holds the seal that is known here**: `lacre seal status`",
                "**não se conhece aqui nada que guarde o lacre**: `lacre seal status`",
            ),
        }
    }
    if identity == Hand::Elsewhere {
        match facts.identity_sheet {
            Some(kit) => page.item(
                &format!("the identity sheet of kit {kit}, typed or scanned into the file `kit.txt-identity`"),
                &format!("a folha de identidade do kit {kit}, digitada ou escaneada para o arquivo `kit.txt-identity`"),
            ),
            None => page.item(
                &format!("an identity of one of these, in the file `identity.txt`: {}", facts.readers.join("; ")),
                &format!("a identidade de um destes, no arquivo `identity.txt`: {}", facts.readers.join("; ")),
            ),
        }
    }
}

/// Files or databases of every job.
pub(super) fn restores(facts: &Facts, flags: &str, more: &str) -> Vec<String> {
    let restore = |job: &super::facts::Job| {
        let latest = format!("latest:{}", job.name);
        match &job.database {
            Some(database) => {
                let to = format!("postgres:///{}", database.name);
                format!("lacre restore {latest}{flags} --to {}{more}", word(&to))
            }
            None => format!("lacre restore {latest}{flags} --to-file {}", word(&format!("{}.restored", job.name))),
        }
    };
    facts.saved().map(restore).collect()
}

/// The server is gone.
pub(super) fn total(facts: &Facts, page: &mut Page) {
    page.heading(2, "The server is gone", "O servidor se perdeu");
    let place = facts.elsewhere();
    if !facts.survives() {
        page.say(
            &format!(
                "**There is no copy elsewhere.** If the disk of `{place}` is gone as well, the backups are. Write a `[[copy]]` into \
                 lacre.toml today."
            ),
            &format!(
                "**Não há cópia em outro lugar.** Se o disco de `{place}` também se perdeu, os backups se perderam. Escreva um `[[copy]]` \
                 no lacre.toml hoje mesmo."
            ),
        );
    }
    page.say(
        "You need, in an empty folder of any Linux machine:",
        "Você precisa, em uma pasta vazia de qualquer máquina Linux:",
    );
    page.item(
        &format!("the program `lacre` ({} or newer)", facts.version),
        &format!("o programa `lacre` ({} ou mais novo)", facts.version),
    );
    if facts.saved().any(|job| job.database.is_some()) {
        page.item(
            "PostgreSQL, server and client programs, not older than the lost server; run the commands as a user who may create databases and roles there",
            "PostgreSQL, servidor e programas clientes, não mais antigo que o servidor perdido; rode os comandos como um usuário que possa criar bancos e papéis nele",
        );
    }
    page.item(&format!("`{place}`"), &format!("`{place}`"));
    keys_of_store(place, page);
    keys(facts, (Hand::Elsewhere, Hand::Elsewhere), page);
    let flags = facts.paper();
    let mut commands = vec![FRESH_HOME.to_owned(), repository(place), "lacre snapshots".to_owned()];
    commands.extend(restores(facts, &flags, " --create --globals"));
    commands.push(format!("lacre repo check --level 4{flags}"));
    page.run("total-loss", &commands);
    times(facts, page);
    page.say(
        "Everything can be read now; nothing can be backed up into this repository from here before its keys are. Bring the spare copies of \
         `writer.key` and `admin.key` into this folder. Without them make a new repository with `lacre init`, and keep this one for as long as \
         its snapshots are wanted:",
        "Agora tudo pode ser lido; nada pode ser salvo neste repositório a partir daqui antes que suas chaves estejam aqui. Traga as cópias \
         de reserva de `writer.key` e `admin.key` para esta pasta. Sem elas, crie um repositório novo com `lacre init` e guarde este enquanto \
         seus snapshots forem desejados:",
    );
    let home = format!("\"$LACRE_HOME/repos/{}\"", facts.repository);
    page.run(
        "total-loss-go-on",
        &[
            FRESH_HOME.to_owned(),
            repository(place),
            format!("install -d -m 0700 {home}"),
            format!("install -m 0600 writer.key admin.key {home}"),
            "lacre key list".to_owned(),
            "lacre repo prune --dry-run".to_owned(),
        ],
    );
    page.say(
        "Then move that folder to where `LACRE_HOME` shall be, write lacre.toml again and run `lacre config check` and `lacre backup`. The first \
         backup stores everything once more.",
        "Depois mova essa pasta para onde `LACRE_HOME` deve ficar, escreva o lacre.toml de novo e rode `lacre config check` e `lacre backup`. \
         O primeiro backup armazena tudo mais uma vez.",
    );
}

/// How long it took the last time.
fn times(facts: &Facts, page: &mut Page) {
    for job in facts.saved() {
        let Some(newest) = &job.newest else { continue };
        match &job.drill {
            Some(drill) => page.item(
                &format!(
                    "{}: {}, recovered in {} at the last drill ({})",
                    job.name, newest.size, drill.recovery, drill.time
                ),
                &format!(
                    "{}: {}, recuperado em {} no último ensaio ({})",
                    job.name, newest.size, drill.recovery, drill.time
                ),
            ),
            None => page.item(
                &format!("{}: {}; never rehearsed, so nobody knows how long it takes", job.name, newest.size),
                &format!("{}: {}; nunca ensaiado, então ninguém sabe quanto demora", job.name, newest.size),
            ),
        }
    }
}

/// The job that stands for all where one restore is shown.
pub(super) fn first(facts: &Facts) -> String {
    facts.saved().next().map_or_else(|| "latest".to_owned(), |job| format!("latest:{}", job.name))
}

/// A key is lost.
pub(super) fn key(facts: &Facts, page: &mut Page) {
    page.heading(2, "A key is lost", "Uma chave se perdeu");
    let seal = facts.seal_flags(facts.seal);
    page.heading(3, "The identity", "A identidade");
    page.say(
        "Backups go on: they need only public keys. Reading needs the identity. Its sheet, or the identity of another reader, is as good as the \
         file. Without any of them nobody can read these snapshots.",
        "Os backups continuam: precisam apenas de chaves públicas. Ler exige a identidade. A folha dela, ou a identidade de outro leitor, vale \
         tanto quanto o arquivo. Sem nenhuma delas ninguém consegue ler estes snapshots.",
    );
    keys(facts, (facts.seal, Hand::Elsewhere), page);
    let flags = format!("{seal}{}", facts.identity_flags(Hand::Elsewhere));
    page.run(
        "lost-key-identity",
        &[
            repository(&facts.place),
            format!("lacre restore {}{flags} --to-file proof.restored", first(facts)),
            "lacre key list".to_owned(),
        ],
    );
    page.say(
        "If it may be in somebody's hands: add another reader (`lacre key add-recipient`, with `--rewrap`), then take the lost one out \
         (`lacre key remove-recipient`). That changes the seal, so that the lost key opens nothing any more, in no copy.",
        "Se ela pode estar em mãos alheias: inclua outro leitor (`lacre key add-recipient`, com `--rewrap`) e depois retire o perdido \
         (`lacre key remove-recipient`). Isso troca o lacre, e a chave perdida não abre mais nada, em cópia alguma.",
    );
    page.heading(3, "The keys of this host", "As chaves desta máquina");
    page.say(
        &format!(
            "Without `writer.key` nothing is backed up, without `admin.key` nothing is forgotten, pruned or erased. Put the spare copies back \
             into `{}`, from this folder:",
            facts.keys.display()
        ),
        &format!(
            "Sem `writer.key` nada é salvo, sem `admin.key` nada é esquecido, limpo ou apagado. Devolva as cópias de reserva para `{}`, a partir \
             desta pasta:",
            facts.keys.display()
        ),
    );
    let folder = word(&facts.keys.display().to_string());
    page.run(
        "lost-key-host",
        &[
            repository(&facts.place),
            format!("install -d -m 0700 {folder}"),
            format!("install -m 0600 writer.key admin.key {folder}"),
            "lacre key list".to_owned(),
        ],
    );
    page.say(
        "Without a spare of `writer.key`: on this machine `lacre key request`, on the admin's `lacre key enrol-writer`. Without a spare of \
         `admin.key` nobody can change anything of this repository: make a new one with `lacre init`, and read this one for as long as it is \
         wanted.",
        "Sem reserva de `writer.key`: nesta máquina `lacre key request`, na do administrador `lacre key enrol-writer`. Sem reserva de \
         `admin.key` ninguém pode mudar nada neste repositório: crie um novo com `lacre init` e leia este enquanto for desejado.",
    );
}

/// A holder of the seal is lost.
pub(super) fn seal(facts: &Facts, page: &mut Page) {
    page.heading(2, "The seal is lost", "O lacre se perdeu");
    let identity = facts.identity_flags(facts.identity);
    page.say(
        "The seal decides what may still be read. As long as one holder is left, everything is; backups need none.",
        "O lacre decide o que ainda pode ser lido. Enquanto restar um guardião, tudo pode; os backups não precisam de nenhum.",
    );
    for holder in facts.holders(page.lang) {
        page.item(&holder, &holder);
    }
    if !facts.kits.is_empty() || !facts.pointers.is_empty() {
        page.heading(3, "A cell", "Uma célula");
        page.say("Reading goes on with the kit:", "A leitura continua com o kit:");
        keys(facts, (Hand::Elsewhere, facts.identity), page);
        page.run(
            "lost-seal-cell",
            &[
                repository(&facts.place),
                format!("lacre restore {} --kit kit.txt{identity} --to-file proof.restored", first(facts)),
            ],
        );
        page.say(
            "Then, on the admin's machine, make another cell: `lacre seal add-cell`, and `lacre seal remove-cell` with `--lost` for the one that \
             is gone. If it may be in somebody's hands: `lacre seal rotate --kit kit.txt`. `lacre seal status` names what is left to do.",
            "Depois, na máquina do administrador, faça outra célula: `lacre seal add-cell`, e `lacre seal remove-cell` com `--lost` para a que se \
             perdeu. Se ela pode estar em mãos alheias: `lacre seal rotate --kit kit.txt`. `lacre seal status` diz o que falta fazer.",
        );
    }
    if !facts.cells.is_empty() {
        page.heading(3, "The kit", "O kit");
        page.say(
            "The cell still opens everything. Print another kit; if the old sheet may be in somebody's hands, change the seal after that \
             (`lacre seal rotate`), because a sheet cannot be called back:",
            "A célula ainda abre tudo. Imprima outro kit; se a folha antiga pode estar em mãos alheias, troque o lacre depois disso \
             (`lacre seal rotate`), porque uma folha não pode ser recolhida:",
        );
        page.run("lost-seal-kit", &[repository(&facts.place), "lacre kit issue --kit-file kit-new.txt".to_owned()]);
        page.say(
            "Print both sheets, delete the files, and type the four words back with `lacre kit ack`.",
            "Imprima as duas folhas, apague os arquivos e digite as quatro palavras de volta com `lacre kit ack`.",
        );
    }
    page.say(
        "If every cell and every sheet is gone, nothing brings the snapshots back, from any copy. Make a new repository today.",
        "Se todas as células e folhas se perderam, nada traz os snapshots de volta, de cópia alguma. Crie um repositório novo hoje.",
    );
}
