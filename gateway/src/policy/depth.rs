//! How deep may a policy go?
//!
//! Cedar reads and checks expressions by recursion, and a stack that overflows ends the process: a bad file
//! would take the gateway down. So text is measured before Cedar sees it, and Cedar gets a stack on which
//! everything that was let through has room.

/// Where a policy goes too deep, and in what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooDeep {
    pub(super) at: usize,
    pub(super) what: &'static str,
}

/// Measures every policy of a file.
pub(super) fn check(text: &str) -> Result<(), TooDeep> {
    let (mut brackets, mut operators) = (0_usize, 0_usize);
    let mut rest = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'"' => skip_string(&mut rest),
            b'/' if rest.next_if(|(_, next)| *next == b'/').is_some() => {
                while rest.next_if(|(_, next)| *next != b'\n' && *next != b'\r').is_some() {}
            }
            b'(' | b'[' | b'{' => brackets = brackets.saturating_add(1),
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            // `f` for `if`: a chain of choices has no other sign.
            b'.' | b'+' | b'-' | b'*' | b'&' | b'|' | b'!' | b'f' => operators = operators.saturating_add(1),
            b';' => (brackets, operators) = (0, 0),
            _ => {}
        }
        if brackets > BRACKETS_MAX {
            return Err(TooDeep { at, what: "is nested deeper than 32 brackets" });
        }
        if operators > OPERATORS_MAX {
            return Err(TooDeep { at, what: "is too long for one policy: write several" });
        }
    }
    Ok(())
}

fn skip_string(rest: &mut impl Iterator<Item = (usize, u8)>) {
    while let Some((_, byte)) = rest.next() {
        match byte {
            b'\\' => {
                let _escaped = rest.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

/// Runs `work` with a stack that has room for whatever [`check`] lets through.
pub(super) fn with_room<T>(work: impl FnOnce() -> T) -> T {
    stacker::grow(STACK_BYTES, work)
}

/// A person reads four or five.
const BRACKETS_MAX: usize = 32;
/// Members, signs, and letters `f`: what a hundred conditions have.
const OPERATORS_MAX: usize = 512;
/// A build without optimisation takes up to 50 KiB for one level of either. Only what is used is real.
const STACK_BYTES: usize = 128 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::super::retailer::*;
    use super::*;

    fn policy(condition: &str) -> String {
        format!("@id(\"p\") permit (principal is Caller, action, resource) when {{ {condition} }};")
    }

    #[test]
    fn what_could_overflow_a_stack_is_refused_with_its_place() {
        let n = 100_000;
        for condition in [
            format!("{}true{}", "(".repeat(n), ")".repeat(n)),
            format!("{}true", "(".repeat(n)),
            format!("[{}1{}] == 1", "[".repeat(n), "]".repeat(n)),
            format!("{}1{} == 1", "{a: ".repeat(n), "}".repeat(n)),
            format!("true{}", " && true".repeat(n)),
            format!("true{}", " || true".repeat(n)),
            format!("1{} == 1", "+1".repeat(n)),
            format!("context{}", ".a".repeat(n)),
            format!("{}true", "!".repeat(n)),
            format!("{}true{}", "if true then ".repeat(n), " else true".repeat(n)),
            format!("{}true", "if true then true else ".repeat(n)),
        ] {
            let text = policy(&condition);
            let too_deep = check(&text).unwrap_err();
            assert!((60..16_000).contains(&too_deep.at), "{too_deep:?}");
            assert!(told(&text).starts_with("p.cedar:1:"));
        }
    }

    #[test]
    fn strings_comments_and_other_policies_do_not_count() {
        let brackets = "(".repeat(100);
        assert_eq!(check(&policy(&format!("principal.tier == \"{brackets}\\\"{brackets}\""))), Ok(()));
        assert_eq!(check(&format!("// {brackets}\" \n{}", policy("true"))), Ok(()));
        assert_eq!(check(&policy("context.token.present").repeat(1_000)), Ok(()));
        assert!(check(&format!("// x\n{brackets}")).is_err());
        assert!(check(&format!("\"\\\"\" {brackets}")).is_err());
    }

    #[test]
    fn what_is_let_through_has_room() {
        for condition in [
            format!("{}true{}", "(".repeat(29), ")".repeat(29)),
            format!("{}1{} == 1", "[".repeat(29), "]".repeat(29)),
            format!("true{}", " && true".repeat(240)),
            format!("1{} == 1", "+1".repeat(480)),
            format!("{{a: 1}}{} == 1", ".a".repeat(480)),
            format!("{}true{}", "if true then ".repeat(480), " else true".repeat(480)),
        ] {
            let text = policy(&condition);
            assert_eq!(check(&text), Ok(()), "{condition}");
            if let Ok((policies, _)) = load_files(&[("p.cedar", &text)]) {
                let explained = policies.explain(ACME, CREATE, &bare());
                // On the small stack of a test, Cedar may give up: then it refuses.
                let decided = policies.authorise(ACME, CREATE, &bare());
                assert!(
                    matches!(&decided, Ok(_) | Err(super::super::PolicyRefusal::Failed { .. })),
                    "{explained:?}"
                );
            }
        }
    }
}
