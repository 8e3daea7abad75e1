//! What happened to data: damaged, deleted, held to ransom, to be erased.

use super::{
    Page,
    facts::{Database, Facts, Hand, Job},
    loss::{FRESH_HOME, first, keys, keys_of_store, repository, restores},
    word,
};

/// Jobs that are databases and have a snapshot.
fn databases(facts: &Facts) -> Vec<(&Job, &Database)> {
    facts.saved().filter_map(|job| Some((job, job.database.as_ref()?))).collect()
}

/// What a command on this host needs besides its own keys.
fn needed(facts: &Facts, page: &mut Page) {
    if facts.seal == Hand::AtHand && facts.identity == Hand::AtHand {
        return;
    }
    page.say("You need, in this folder of this machine:", "Você precisa, nesta pasta desta máquina:");
    keys(facts, (facts.seal, facts.identity), page);
}

/// Data were damaged in the last hours.
pub(super) fn corruption(facts: &Facts, page: &mut Page) {
    page.heading(2, "Data were damaged in the last hours", "Dados corrompidos nas últimas horas");
    page.say(
        "Stop what writes to the database. Restore beside it, look, and replace only what you have looked at.",
        "Pare o que escreve no banco. Restaure ao lado, olhe, e só substitua o que você olhou.",
    );
    needed(facts, page);
    let flags = facts.here();
    let mut look = vec![repository(&facts.place)];
    for job in facts.saved() {
        look.push(format!("lacre snapshots --job {}", job.name));
        if let (Some(newest), Some(before), Some(_)) = (&job.newest, &job.before, &job.database) {
            look.push(format!("lacre diff {} {}{flags}", before.id, newest.id));
        }
    }
    for (job, database) in databases(facts) {
        let beside = database.beside(&format!("{}_look", database.name));
        look.push(format!("lacre restore latest:{}{flags} --to {} --create", job.name, word(&beside)));
    }
    if databases(facts).is_empty() {
        look.extend(restores(facts, &flags, ""));
    }
    page.run("corruption", &look);
    page.say(
        "`diff` says which tables changed between the last two nights, and with `--table` which rows. If the damage is older, restore an \
         earlier night: its id, or for example `JOB@2026-11-20`, in place of `latest:JOB`.",
        "`diff` diz quais tabelas mudaram entre as duas últimas noites, e com `--table` quais linhas. Se o dano é mais antigo, restaure uma \
         noite anterior: o id dela, ou por exemplo `JOB@2026-11-20`, no lugar de `latest:JOB`.",
    );
    let swaps: Vec<String> = databases(facts)
        .iter()
        .map(|(job, database)| format!("lacre restore latest:{}{flags} --to {} --swap", job.name, word(&database.url)))
        .collect();
    if !swaps.is_empty() {
        page.say(
            "When it is what you want, put it in place. You are asked to type the database's name; what is there now is kept under another \
             name and saved as a snapshot first:",
            "Quando for o que você quer, ponha no lugar. Pede-se digitar o nome do banco; o que está lá agora é guardado com outro nome e \
             antes salvo em um snapshot:",
        );
        page.run("corruption-swap", &[vec![repository(&facts.place)], swaps].concat());
    }
}

/// Rows were deleted.
pub(super) fn deletion(facts: &Facts, page: &mut Page) {
    page.heading(2, "Somebody deleted rows that are needed", "Alguém apagou linhas que fazem falta");
    page.say(
        "Nothing of the living database is overwritten: what is missing is written down, you look at it, and put it back.",
        "Nada do banco vivo é sobrescrito: o que falta é escrito em um arquivo, você olha, e devolve.",
    );
    needed(facts, page);
    let flags = facts.here();
    let found: Vec<(&Job, &Database)> = databases(facts);
    if found.is_empty() {
        let mut commands = vec![repository(&facts.place)];
        commands.extend(restores(facts, &flags, ""));
        page.run("deletion", &commands);
        return;
    }
    let mut commands = vec![repository(&facts.place)];
    let mut back = Vec::new();
    for (job, database) in found {
        let latest = format!("latest:{}", job.name);
        commands.push(format!("lacre ls {latest}{flags}"));
        let Some(table) = &job.table else { continue };
        let file = format!("{}-missing.sql", job.name);
        commands.push(format!(
            "lacre recover {}{flags} --from {latest} --missing-in {} --out {file}",
            word(table),
            word(&database.url)
        ));
        back.push(format!("psql -X -1 -v ON_ERROR_STOP=1 -f {file} {}", word(&database.url)));
    }
    page.run("deletion", &commands);
    page.say(
        "`ls` names the tables; put the one that lost rows in place of the largest, which is written here. To find when a row went: `lacre \
         history TABLE --where COLUMN=VALUE`; to see it as it was: `lacre rows SNAPSHOT TABLE --where COLUMN=VALUE`. If the rows were gone \
         before the last night, take an earlier snapshot.",
        "`ls` mostra as tabelas; ponha a que perdeu linhas no lugar da maior, que está escrita aqui. Para achar quando uma linha sumiu: `lacre \
         history TABELA --where COLUNA=VALOR`; para vê-la como era: `lacre rows SNAPSHOT TABELA --where COLUNA=VALOR`. Se as linhas já \
         faltavam na última noite, use um snapshot anterior.",
    );
    if !back.is_empty() {
        page.say("Read the file. Then, all of it or nothing:", "Leia o arquivo. Depois, tudo ou nada:");
        page.run("deletion-back", &back);
    }
}

/// Somebody encrypts or deletes what they reach.
pub(super) fn ransomware(facts: &Facts, page: &mut Page) {
    page.heading(
        2,
        "Somebody encrypts or deletes what they can reach",
        "Ransomware: alguém cifra ou apaga o que alcança",
    );
    let place = facts.elsewhere();
    page.say(
        "Take the machine off the network; do not switch it off. Take its keys away at the provider of every bucket. Do not restore onto any \
         machine that was reached. Work on a clean machine, with paper and this:",
        "Tire a máquina da rede; não a desligue. Revogue as chaves dela no provedor de cada bucket. Não restaure em nenhuma máquina que foi \
         alcançada. Trabalhe em uma máquina limpa, com o papel e isto:",
    );
    page.item(&format!("`{place}`"), &format!("`{place}`"));
    keys_of_store(place, page);
    keys(facts, (Hand::Elsewhere, Hand::Elsewhere), page);
    let flags = facts.paper();
    page.say(
        "First prove, without any key, that every byte is what was written. `check` also names snapshots that somebody took away:",
        "Primeiro prove, sem chave alguma, que cada byte é o que foi escrito. `check` também nomeia snapshots que alguém tirou:",
    );
    let mut commands = vec![
        FRESH_HOME.to_owned(),
        repository(place),
        "lacre repo check --read-data --level 2".to_owned(),
        "lacre snapshots".to_owned(),
    ];
    commands.extend(restores(facts, &flags, " --create --globals"));
    page.run("ransomware", &commands);
    page.say(
        "Take a night from before they were in: its id in place of `latest:JOB`. A machine that only makes backups can read no history and \
         delete none; what it wrote since it was taken is not to be trusted.",
        "Use uma noite de antes da invasão: o id dela no lugar de `latest:JOB`. Uma máquina que só faz backups não lê nem apaga a história; \
         no que ela escreveu desde que foi tomada não se deve confiar.",
    );
    let writers: Vec<&str> =
        facts.homes.iter().filter(|(_, role)| role == "writer").map(|(label, _)| label.as_str()).collect();
    let named = if writers.is_empty() { String::new() } else { format!(" ({})", writers.join(", ")) };
    page.say(
        &format!(
            "Then, on an admin's machine that was not reached: `lacre key revoke-writer` for each machine that was{named}, and `lacre seal rotate` \
             if a cell, a kit or an identity may be known. Look at `lacre erase status`: an erasure that nobody of you signed means that the \
             admin's key is in other hands; `lacre erase cancel` stops it while its new seal is not published."
        ),
        &format!(
            "Depois, em uma máquina de administrador que não foi alcançada: `lacre key revoke-writer` para cada máquina que foi{named}, e `lacre \
             seal rotate` se uma célula, um kit ou uma identidade pode ser conhecida. Olhe `lacre erase status`: uma eliminação que nenhum de \
             vocês assinou significa que a chave do administrador está em outras mãos; `lacre erase cancel` a detém enquanto o novo lacre dela \
             não foi publicado."
        ),
    );
}

/// A person asks to be erased.
pub(super) fn erasure(facts: &Facts, page: &mut Page) {
    page.heading(
        2,
        "A person asks for their data to be erased",
        "Uma pessoa pede a eliminação dos seus dados (LGPD, art. 18)",
    );
    page.say(
        "First in the living database. Then in the backups, on the admin's machine: one person's rows leave every night that is kept, and die \
         in every copy ever made when the seal changes. The receipt is the evidence.",
        "Primeiro no banco vivo. Depois nos backups, na máquina do administrador: as linhas de uma pessoa saem de todas as noites guardadas e \
         morrem em toda cópia já feita quando o lacre troca. O recibo é a prova.",
    );
    page.say("You need, in this folder:", "Você precisa, nesta pasta:");
    page.item(
        "`rules.toml`: which rows are a person's; ERASURE.md says how to write it, once. Its subject is called `user` here",
        "`rules.toml`: quais linhas são de uma pessoa; o ERASURE.md diz como escrever, uma vez. Aqui o titular se chama `user`",
    );
    page.item(
        "`person`: the key of the person, as the rules name it; never on the command line, which others can see",
        "`person`: a chave da pessoa, como as regras a nomeiam; nunca na linha de comando, que outros podem ver",
    );
    keys(facts, (facts.seal, facts.identity), page);
    let flags = facts.here();
    page.say("Look at what would go. Nothing is changed:", "Olhe o que sairia. Nada é alterado:");
    let erase = format!("lacre erase person --rules rules.toml --subject user --key-file person{flags}");
    page.run("erasure", &[repository(&facts.place), "lacre erase status".to_owned(), format!("{erase} --dry-run")]);
    page.say(
        "When that is right, sign it. You are asked to type a job's name; this cannot be taken back. Exit 5 means that something is pending, \
         and what is:",
        "Quando estiver certo, assine. Pede-se digitar o nome de um job; isso não tem volta. O código 5 quer dizer que algo está pendente, e \
         o quê:",
    );
    page.run("erasure-sign", &[repository(&facts.place), erase]);
    page.say(
        "The next backup completes it. `lacre erase status` says what is pending, `lacre erase resume` goes on, `lacre receipt show` prints the \
         receipt. Snapshots under a legal hold keep the person until `lacre release`.",
        "O próximo backup o completa. `lacre erase status` diz o que falta, `lacre erase resume` continua, `lacre receipt show` mostra o recibo. \
         Snapshots sob retenção legal guardam a pessoa até `lacre release`.",
    );
    if let Some(oldest) = facts.saved().find_map(|job| job.oldest.as_ref()) {
        page.say(
            "Where there are no rules for a job, whole snapshots can be erased instead. What that would take, of the oldest:",
            "Onde não há regras para um job, pode-se apagar snapshots inteiros. O que isso levaria, do mais antigo:",
        );
        let command = format!("lacre erase snapshot {} --dry-run --allow-last", oldest.id);
        page.run("erasure-snapshot", &[repository(&facts.place), command]);
    }
    page.say(
        &format!("The proof that they are dead in what is kept of {}: `lacre erase prove`.", first(facts)),
        &format!("A prova de que estão mortos no que se guarda de {}: `lacre erase prove`.", first(facts)),
    );
}
