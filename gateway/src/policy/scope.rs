//! Whom and what is a policy about, judged by its scope alone?
//!
//! The part of a policy before `when` depends on the caller and the operation only, so it is decided when
//! the snapshot is built, once, and a request never looks at a policy that cannot concern it.

use cedar_policy::{ActionConstraint, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

use super::facts::{CallerFacts, OperationFacts};
use super::vocabulary::{ANONYMOUS, API, CALLER, CONTRACT, GROUP, KIND, NOBODY};

/// Whom a policy's scope is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Whom {
    Anyone,
    AnyCaller,
    Caller(String),
    Group(String),
    Kind(String),
    Anonymous,
    Nobody,
}

impl Whom {
    /// What the policy's scope says of the principal.
    pub(super) fn of(policy: &Policy) -> Self {
        match policy.principal_constraint() {
            PrincipalConstraint::Any => Self::Anyone,
            PrincipalConstraint::Is(entity_type) => match entity_type.to_string().as_str() {
                CALLER => Self::AnyCaller,
                ANONYMOUS => Self::Anonymous,
                _ => Self::Nobody,
            },
            PrincipalConstraint::Eq(uid) => match Self::within(&uid) {
                // Nobody's whole name is that of a group.
                Self::Group(_) | Self::Kind(_) => Self::Nobody,
                one => one,
            },
            PrincipalConstraint::In(uid) => Self::within(&uid),
            PrincipalConstraint::IsIn(entity_type, uid) => {
                match (entity_type.to_string().as_str(), Self::within(&uid)) {
                    (CALLER, whom @ (Self::Caller(_) | Self::Group(_) | Self::Kind(_))) => whom,
                    (ANONYMOUS, Self::Anonymous) => Self::Anonymous,
                    _ => Self::Nobody,
                }
            }
        }
    }

    /// Cedar's `in` holds for an entity itself and for all it is a member of.
    fn within(uid: &EntityUid) -> Self {
        let id: &str = uid.id().as_ref();
        match uid.type_name().to_string().as_str() {
            CALLER => Self::Caller(id.to_owned()),
            GROUP => Self::Group(id.to_owned()),
            KIND => Self::Kind(id.to_owned()),
            ANONYMOUS if id == NOBODY => Self::Anonymous,
            _ => Self::Nobody,
        }
    }

    /// All that is true of a caller.
    pub(super) fn all_of(caller: &CallerFacts) -> Vec<Self> {
        let mut all = vec![
            Self::Anyone,
            Self::AnyCaller,
            Self::Caller(caller.id.clone()),
            Self::Kind(caller.kind.name().to_owned()),
        ];
        all.extend(caller.groups.iter().cloned().map(Self::Group));
        all
    }

    /// All that is true of a request that proves no caller.
    pub(super) const fn all_of_anonymous() -> [Self; 2] {
        [Self::Anyone, Self::Anonymous]
    }
}

/// What a policy's scope is about.
pub(super) struct What {
    actions: Actions,
    contracts: Contracts,
}

enum Actions {
    Any,
    Only(String),
    Within(Vec<String>),
}

enum Contracts {
    Any,
    Only(String),
    OfApi(String),
    None,
}

impl What {
    /// What the policy's scope says of action and resource.
    pub(super) fn of(policy: &Policy) -> Self {
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => Actions::Any,
            ActionConstraint::Eq(uid) => Actions::Only(action(&uid)),
            ActionConstraint::In(uids) => Actions::Within(uids.iter().map(action).collect()),
        };
        let contracts = match policy.resource_constraint() {
            ResourceConstraint::Any => Contracts::Any,
            ResourceConstraint::Is(entity_type) if entity_type.to_string() == CONTRACT => Contracts::Any,
            ResourceConstraint::Is(_) => Contracts::None,
            ResourceConstraint::Eq(uid) => match Contracts::within(&uid) {
                // No contract's whole name is that of an API.
                Contracts::OfApi(_) => Contracts::None,
                one => one,
            },
            ResourceConstraint::In(uid) => Contracts::within(&uid),
            ResourceConstraint::IsIn(entity_type, uid) if entity_type.to_string() == CONTRACT => {
                Contracts::within(&uid)
            }
            ResourceConstraint::IsIn(..) => Contracts::None,
        };
        Self { actions, contracts }
    }

    /// Whether the scope names `operation` itself, not a group it is in.
    pub(super) fn names(&self, operation: &OperationFacts) -> bool {
        match &self.actions {
            Actions::Any => false,
            Actions::Only(id) => *id == operation.name,
            Actions::Within(ids) => ids.contains(&operation.name),
        }
    }

    /// Whether the scope takes in `operation` and its contract.
    pub(super) fn covers(&self, operation: &OperationFacts) -> bool {
        let OperationFacts { name, api, version, access, .. } = operation;
        let of_contract =
            |id: &str| id.strip_prefix(api.as_str()).and_then(|rest| rest.strip_prefix('.')) == Some(version);
        let action = match &self.actions {
            Actions::Any => true,
            Actions::Only(id) => id == name,
            Actions::Within(ids) => {
                ids.iter().any(|id| id == name || id == api || id == access.group() || of_contract(id))
            }
        };
        action
            && match &self.contracts {
                Contracts::Any => true,
                Contracts::Only(id) => of_contract(id),
                Contracts::OfApi(id) => id == api,
                Contracts::None => false,
            }
    }
}

impl Contracts {
    fn within(uid: &EntityUid) -> Self {
        let id: &str = uid.id().as_ref();
        match uid.type_name().to_string().as_str() {
            CONTRACT => Self::Only(id.to_owned()),
            API => Self::OfApi(id.to_owned()),
            _ => Self::None,
        }
    }
}

/// The id alone: Cedar lets nothing but an action stand here, and there is one namespace.
fn action(uid: &EntityUid) -> String {
    AsRef::<str>::as_ref(uid.id()).to_owned()
}
