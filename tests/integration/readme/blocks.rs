//! Which blocks of code does a Markdown file have, and what does the comment before each ask for?

/// A block of code.
pub(super) struct Block {
    /// Where it begins, for messages.
    pub(super) line: usize,
    pub(super) language: Language,
    pub(super) directive: Directive,
    pub(super) text: String,
}

/// What a block is written in.
pub(super) enum Language {
    Sh,
    Text,
    Json,
    Yaml,
    Cedar,
}

/// What the HTML comment on the line before a block says.
pub(super) enum Directive {
    /// There is none.
    None,
    /// `<!-- fails -->`: the commands end with an error, as the text around them says.
    Fails,
    /// `<!-- exists -->`: programs of the repository that would run this test again.
    Exists,
    /// `<!-- path -->`: the picture of the path.
    Path,
    /// `<!-- files -->`: each line begins with a file of the repository.
    Files,
    /// ``<!-- as FILE -->``: a whole file; with `, refused` one that must not load.
    As { file: String, good: bool },
    /// ``<!-- in FILE after `LINE` -->``: goes below that line; with `, unpublished` into a contract that is not
    /// served before it is published.
    In { file: String, after: String, served: bool },
}

/// The blocks of a Markdown text, in order.
pub(super) fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = (1..).zip(markdown.lines());
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            blocks.push(Block {
                line: number,
                language: language_of(language, number),
                directive: directive_of(before, number),
                text: text.join("\n"),
            });
        }
        before = line;
    }
    blocks
}

fn language_of(word: &str, line: usize) -> Language {
    match word {
        "sh" => Language::Sh,
        "text" => Language::Text,
        "json" => Language::Json,
        "yaml" => Language::Yaml,
        "cedar" => Language::Cedar,
        _ => panic!("README.md:{line}: no block may be `{word}`"),
    }
}

fn directive_of(before: &str, line: usize) -> Directive {
    let Some(words) = before.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else {
        return Directive::None;
    };
    match words.split_once(' ') {
        None if words == "fails" => Directive::Fails,
        None if words == "exists" => Directive::Exists,
        None if words == "path" => Directive::Path,
        None if words == "files" => Directive::Files,
        Some(("as", file)) => {
            let (file, good) = file.strip_suffix(", refused").map_or((file, true), |file| (file, false));
            Directive::As { file: file.to_owned(), good }
        }
        Some(("in", rest)) => {
            let (rest, served) =
                rest.strip_suffix(", unpublished").map_or((rest, true), |rest| (rest, false));
            let (file, after) = rest.split_once(" after ").expect("a place says after what");
            Directive::In { file: file.to_owned(), after: after.trim_matches('`').to_owned(), served }
        }
        _ => panic!("README.md:{line}: unknown comment `{words}`"),
    }
}

#[test]
fn blocks_are_found_with_their_comments() {
    let found = blocks("a\n```sh\nls\nls\n```\n<!-- in a.yaml after `x:` -->\n```yaml\nb\n```\n");
    assert_eq!(found.len(), 2);
    assert!(matches!((&found[0].language, &found[0].directive), (Language::Sh, Directive::None)));
    assert_eq!((found[0].line, found[0].text.as_str()), (2, "ls\nls"));
    let Directive::In { file, after, served: true } = &found[1].directive else {
        panic!("another directive")
    };
    assert_eq!((file.as_str(), after.as_str()), ("a.yaml", "x:"));
}
